"""Runs a function as an operation."""

from outrider_facade import further_names

from outrider.plugins.sdk.testing import made_up_context

__getattr__ = further_names(__name__)


def run(func, *args, **kwargs):
    """Call a function with a made-up `ctx`; return its value, let through what it raises."""
    with made_up_context():
        return func(*args, **kwargs)
