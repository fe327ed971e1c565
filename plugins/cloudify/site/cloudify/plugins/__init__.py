"""Workflow code that plugins import; see `cloudify.workflows`."""

from outrider_facade import fall_through

__path__ = fall_through(__path__, __name__)
