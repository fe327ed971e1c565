"""Signal handlers, set without `signal`'s detour over enums.

Used by an operation's process on its way: each function and class that it touches costs it the copy of a page of
memory, and the enums' machinery is some sixty pages.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # what `signal` wraps; the type checker does not know it
import contextlib
import signal
from collections.abc import Iterator
from typing import Any, Callable

Handler = Callable[[int, Any], Any]

#: The signals that a runner handles itself, and an operation's process takes as every process does.
_RUNNERS_OWN = tuple(
    int(number)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
)
_DEFAULT = int(signal.SIG_DFL)
TERMINATE, INTERRUPT = int(signal.SIGTERM), int(signal.SIGINT)
RETIRE, IO = int(signal.SIGUSR1), int(signal.SIGIO)


def handle(number: int, handler: Handler) -> None:
    """Have `handler` called at this signal."""
    _signal.signal(number, handler)


def reset() -> None:
    """Right after the fork: have every signal do what it does by default, and wake nobody up."""
    _signal.set_wakeup_fd(-1)
    by_default(*_RUNNERS_OWN)


def by_default(*numbers: int) -> None:
    """Have these signals do what they do by default."""
    for number in numbers:
        _signal.signal(number, _DEFAULT)


@contextlib.contextmanager
def held(*numbers: int) -> Iterator[None]:
    """Have these signals wait until the end of the block."""
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
