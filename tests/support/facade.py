"""Makes the compatible facade importable for a test, as the agent does for an operation's process, and undoes it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from outrider.plugins.cloudify import site_path
from outrider.plugins.sdk.current import current

PACKAGES = ("cloudify", "cloudify_rest_client", "cloudify_types", "dsl_parser", "outrider_facade", "script_runner")


@contextmanager
def facade_on_path() -> Iterator[str]:
    """Put the facade first on `sys.path`; afterwards nothing of it stays imported."""
    site = str(site_path())
    _forget()
    sys.path.insert(0, site)
    try:
        yield site
    finally:
        sys.path.remove(site)
        current.set(None)
        current.compatible_view = None
        current.begin_workflow = None
        _forget()


def _forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
        del sys.modules[name]
