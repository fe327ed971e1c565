"""Runs a function as an operation."""

from outrider.plugins.sdk.testing import made_up_context


def run(func, *args, **kwargs):
    """Call a function with a made-up `ctx`; return its value, let through what it raises."""
    with made_up_context():
        return func(*args, **kwargs)
