"""Signal handlers, set without `signal`'s detour over enums.

Used by an operation's process on its way: each function and class that it touches costs it the copy of a page of
memory, and the enums' machinery is some sixty pages.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # what `signal` wraps; the type checker does not know it
import signal
from typing import Any, Callable

Handler = Callable[[int, Any], Any]

#: The signals that a runner handles itself, and an operation's process takes as every process does.
_RUNNERS_OWN = tuple(
    int(number)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
)
_DEFAULT = int(signal.SIG_DFL)
TERMINATE, RETIRE, IO = int(signal.SIGTERM), int(signal.SIGUSR1), int(signal.SIGIO)


def handle(number: int, handler: Handler) -> None:
    """Have `handler` called at this signal."""
    _signal.signal(number, handler)


def reset() -> None:
    """Right after the fork: have every signal do what it does by default, and wake nobody up."""
    _signal.set_wakeup_fd(-1)
    for number in _RUNNERS_OWN:
        _signal.signal(number, _DEFAULT)
