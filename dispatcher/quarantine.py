"""Executions at which our own code fails: one that fails the engine's turn again and again must not stop the others.

A turn that fails leaves no trace, and everything is taken up again; so a defect that lies in one execution's data would
fail every turn from then on. The engine notes at which execution a turn failed, and gives that one up in the end.
"""

from __future__ import annotations

import traceback

from sqlalchemy.engine import Connection

from outrider.dispatcher import narrate
from outrider.dispatcher.store import events, executions, ownership

#: So many turns that failed at one execution, within this time, are no accident (a full disk) any more. Turns between
#: them may go well: what fails may be a message, and it comes again only after the execution was taken up again.
TIMES = 3
WITHIN_SECONDS = 300.0


class Suspicion:
    """At which executions turns failed, and when."""

    def __init__(self) -> None:
        self._failures: list[tuple[str, float]] = []

    def note(self, execution_id: str | None, *, now: float) -> bool:
        """A turn failed while it was at an execution; returns whether that one has to be given up."""
        if execution_id is None:
            return False
        self._failures = [each for each in self._failures if now - each[1] < WITHIN_SECONDS]
        self._failures.append((execution_id, now))
        return sum(each == execution_id for each, _ in self._failures) >= TIMES


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
