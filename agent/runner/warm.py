"""Importing a plugin ahead of its operations, and finding out whether forking is safe afterwards.

A fork copies only the thread that forks, and shares the open sockets: a plugin whose import starts threads or opens
connections therefore gets a fresh interpreter per operation.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

#: A module of operations may name what they import when they are called: every child would import it anew.
IMPORTS_AHEAD = "OUTRIDER_IMPORTS_AHEAD"


class ImportTookTooLong(BaseException):
    """The import did not end within its limit. Not an `Exception`, so that plugins' handlers let it pass."""


class Warm:
    """What was imported ahead, and what speaks against forking."""

    def __init__(self, *, limit_seconds: float) -> None:
        self._limit_seconds = limit_seconds
        #: Sockets that imports have opened; those of the runner itself come and go.
        self._opened: set[str] = set()
        self._tried: set[str] = set()
        #: Module → why it could not be imported; the operation itself will fail with the same error, and report it.
        self.failures: dict[str, str] = {}

    def knows(self, module: str) -> bool:
        """Return whether an import of the module was tried."""
        return module in self._tried

    def load(self, module: str) -> None:
        """Import one module; a failure is remembered and left to the operation to report."""
        self._tried.add(module)
        before = _open_sockets()
        try:
            with _alarm(self._limit_seconds):
                imported = importlib.import_module(module)
                for name in getattr(imported, IMPORTS_AHEAD, ()):
                    importlib.import_module(name)
        except ImportTookTooLong:
            self.failures[module] = f"its import took longer than {self._limit_seconds:g} s"
        except BaseException as error:  # noqa: BLE001 - foreign code may raise anything, SystemExit included
            self.failures[module] = f"{type(error).__name__}: {error}"
            sys.excepthook(type(error), error, error.__traceback__)
        self._opened |= _open_sockets() - before

    def settle(self) -> None:
        """Keep the garbage collector away from what exists now, so that children share its memory."""
        gc.collect()
        gc.freeze()

    def objection(self) -> Optional[str]:
        """Return why this process must not fork operations, or None."""
        threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208 - names suffice
        if threads > 1:
            return f"its import started {threads - 1} thread(s)"
        opened = self._opened & _open_sockets()
        if opened:
            return f"its import opened {len(opened)} socket(s)"
        return None


def _open_sockets() -> set[str]:
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(entry.readlink())
            if target.startswith("socket:"):
                found.add(target)
    return found


@contextlib.contextmanager
def _alarm(limit_seconds: float) -> Iterator[None]:
    def ring(_signal: int, _frame: object) -> None:
        raise ImportTookTooLong

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit_seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
