"""Ctrl-C while an execution is watched: the first one asks for a cancel, the second one forces it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from outrider.cli.output import errors
from outrider.dispatcher.errors import Conflict
from outrider.dispatcher.store.executions import Cancel

STEPS = (
    (Cancel.NORMAL, "cancelling: running operations are being ended (Ctrl-C again: do not wait for them)"),
    (Cancel.FORCE, "cancelling by force: operations that have not confirmed may still be running"),
    (Cancel.KILL, "killing"),
)


@contextmanager
def cancel_on_interrupt(cancel: Callable[[str, Cancel], object], execution_ids: Collection[str]) -> Iterator[None]:
    """For the time of the block, SIGINT and SIGTERM are wishes about the executions."""
    steps = iter(STEPS)

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        step = next(steps, None)
        if step is None:
            raise KeyboardInterrupt
        kind, text = step
        errors.print(text)
        for execution_id in execution_ids:
            # It may have ended, in this very moment or before the others.
            with suppress(Conflict):
                cancel(execution_id, kind)

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
