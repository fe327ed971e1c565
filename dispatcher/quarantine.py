"""Executions at which our own code fails: one that fails the engine's turn again and again must not stop the others.

A turn that fails leaves no trace, and everything is taken up again; so a defect that lies in one execution's data would
fail every turn from then on. The engine notes at which execution a turn failed, and gives that one up in the end.
"""

from __future__ import annotations

import traceback
from collections.abc import Container

from sqlalchemy.engine import Connection

from outrider.dispatcher import narrate
from outrider.dispatcher.store import events, executions, ownership

#: So many turns in a row that failed at one execution are no accident (a lost connection, a full disk) any more.
TIMES = 3


class Suspicion:
    """At which execution turns failed, and how often in a row."""

    def __init__(self) -> None:
        self._execution_id: str | None = None
        self._times = 0

    def note(self, execution_id: str | None) -> bool:
        """A turn failed while it was at an execution; returns whether that one has to be given up."""
        if execution_id is None or execution_id != self._execution_id:
            self._execution_id, self._times = execution_id, 0
        self._times += 1
        return execution_id is not None and self._times >= TIMES

    def clear(self, execution_ids: Container[str | None]) -> None:
        """A turn went well that dealt with these."""
        if self._execution_id in execution_ids:
            self._execution_id, self._times = None, 0


def give_up(connection: Connection, execution_id: str, *, owner: str, error: BaseException, now: float) -> bool:
    """End an execution as failed, with the traceback; False if it has ended or is another dispatcher's."""
    told = "".join(traceback.format_exception(error))
    text = (
        f"a defect of Outrider stopped this execution: {type(error).__name__}: {error}. {TIMES} turns of the engine "
        "failed at it, so it was given up to let the others go on. Report the traceback below; operations that run go "
        f"on, and a resume takes them up.\n{told}"
    )
    if not ownership.fail(connection, execution_id, owner=owner, error=text, now=now):
        return False
    execution = executions.get(connection, execution_id)
    words = f"{execution.workflow!r} workflow execution failed: {text}"
    event = narrate.of_execution(execution, "workflow_failed", words, happened_at=now)
    events.append(connection, [event], now=now)
    return True
