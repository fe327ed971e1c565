"""Workflow code that plugins import; see `cloudify.workflows`."""

from outrider_facade import fall_through, missing_from

__path__ = fall_through(__path__, __name__)
__getattr__ = missing_from(__name__)
