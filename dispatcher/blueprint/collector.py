"""Pauses Python's garbage collector while large trees are built, in `load` and `prepare_deployment`."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Reading makes many objects and no cycles: the collector would look at all of them again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            _call_them_old()
            gc.enable()


def _call_them_old() -> None:
    """Move what was made meanwhile to the oldest generation, so that the next turn does not look at all of it.

    Freezing and thawing does that without looking. Where somebody keeps objects frozen, they must stay so.
    """
    if gc.get_freeze_count() == 0:
        gc.freeze()
        gc.unfreeze()
