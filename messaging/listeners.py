"""Callbacks that several parties register and a transport's thread calls."""

from __future__ import annotations

import logging
import threading
from typing import Any, Callable

logger = logging.getLogger(__name__)


class Listeners:
    """A list of callbacks; one that fails is logged and does not keep the others from being called."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: tuple[Callable[..., None], ...] = ()

    def add(self, listener: Callable[..., None]) -> None:
        """Call `listener` from now on."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

    def remove(self, listener: Callable[..., None]) -> None:
        """Call it no more."""
        with self._lock:
            self._listeners = tuple(other for other in self._listeners if other != listener)

    def call(self, *arguments: Any) -> None:
        """Call every listener, in the order of their registration."""
        for listener in self._listeners:
            try:
                listener(*arguments)
            except Exception:
                # A listener's defect must not end the transport's thread that calls it.
                logger.exception("listener %r failed", listener, extra={"action": "listener_failed"})
