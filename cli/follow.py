"""Follows an execution through the store, from any terminal, and turns what is stored into what is shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from sqlalchemy.engine import Connection

from outrider.cli.progress import Display, Line, Running, Snapshot
from outrider.cli.waterfall import Span
from outrider.dispatcher.store import events, executions, progress
from outrider.dispatcher.store.attempts import AttemptState
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.executions import Execution

POLL_SECONDS = 0.1
#: Results overtake logs on their way; lines are held back this long, so that they can be shown in order.
HOLD_SECONDS = 0.25
#: How long an execution that has ended is followed for the last lines of its operations, which travel after results.
LAST_LINES_SECONDS = 3.0
#: How often it is looked for these lines, which come milliseconds after the results, and of which nothing tells.
LAST_POLL_SECONDS = 0.01
#: Records read at once.
PAGE = 1000
SUCCEEDED = "succeeded"

EVENT_LEVELS = {"task_failed": "error", "workflow_failed": "error", "task_rescheduled": "warning"}
#: Events that a line of log would only repeat.
HIDDEN_EVENTS = frozenset({"sending_task"})


def follow(
    database: Database,
    execution_id: str,
    display: Display,
    *,
    after: int = 0,
    hidden: Collection[str] = HIDDEN_EVENTS,
    pause: Callable[[float], object] = time.sleep,
) -> Execution:
    """Feed the display until the execution ends; returns it as it is then.

    Events up to the id `after` were shown before, and those of `hidden` types are not shown. `pause` waits for so many
    seconds, or for less if it is told that something has happened.
    """
    last_event = after
    held: list[events.Event] = []
    last_lines = LastLines((execution_id,))
    while True:
        with database.read() as connection:
            # Status before events: what is recorded before the end is shown before the end.
            execution = executions.get(connection, execution_id)
            now = database.now(connection)
            ended = execution.ended and last_lines.there(connection, now)
            page = events.after(connection, last_event, execution_id=execution_id, limit=PAGE)
            snapshot = None if execution.ended else _snapshot(connection, execution, now)
        if page:
            last_event = page[-1].id
            held += [event for event in page if event.event_type not in hidden]
        if len(page) == PAGE:
            continue
        held = _show(held, display, until=float("inf") if ended else now - HOLD_SECONDS)
        if snapshot is not None:
            display.snapshot(snapshot)
        if ended:
            return execution
        if execution.ended:
            time.sleep(LAST_POLL_SECONDS)
        else:
            pause(POLL_SECONDS)


class LastLines:
    """Whether an end may be shown: all lines before it are stored, or were waited for long enough."""

    def __init__(self, execution_ids: Collection[str]) -> None:
        self._execution_ids = execution_ids
        self._ended_at: float | None = None

    def there(self, connection: Connection, now: float) -> bool:
        """Return whether the executions, which have ended, need be followed no longer."""
        if self._ended_at is None:
            self._ended_at = now
        return now - self._ended_at > LAST_LINES_SECONDS or not progress.awaits_records(connection, self._execution_ids)


def _show(held: list[events.Event], display: Display, *, until: float) -> list[events.Event]:
    """Show what was stored before `until`, in the order in which it happened; returns the rest."""
    ready = sorted((event for event in held if event.stored_at <= until), key=lambda event: event.happened_at)
    for event in ready:
        display.line(line_of(event))
    return [event for event in held if event.stored_at > until]


def line_of(event: events.Event) -> Line:
    """Return an event or a log record as it is shown."""
    level = event.level or EVENT_LEVELS.get(event.event_type or "", "info")
    place = event.instance or event.node or ""
    operation = (event.operation or "").rpartition(".")[2]
    source = f"{place}.{operation}" if place and operation else place
    if event.target_instance:
        source = f"{place}->{event.target_instance}.{operation}"
    return Line(time=event.happened_at, level=level, source=source, message=event.message)


def _snapshot(connection: Connection, execution: Execution, now: float) -> Snapshot:
    under_way = progress.open_operations(connection, execution.id)
    said = progress.doing(connection, {operation.agent_id for operation in under_way})
    running = [
        Running(
            operation=operation.operation,
            instance=operation.instance or "",
            agent=operation.agent_id,
            doing=said.get(operation.attempt_id) or _state_in_words(operation),
            elapsed_seconds=max(0.0, now - operation.created_at),
        )
        for operation in under_way
    ]
    running += [
        Running(
            operation=retry.operation,
            instance=retry.instance or "",
            agent="–",
            doing=f"tried again in {max(0.0, retry.not_before - now):.0f} s: {retry.error or 'as the operation asked'}",
            elapsed_seconds=0.0,
        )
        for retry in progress.waiting_retries(connection, execution.id)
    ]
    return Snapshot(
        execution=execution.id,
        workflow=execution.workflow,
        status=execution.status.value,
        finished=execution.finished_operations,
        total=execution.total_operations,
        elapsed_seconds=max(0.0, now - (execution.started_at or execution.created_at)),
        running=tuple(running),
    )


def _state_in_words(operation: progress.OpenOperation) -> str:
    words = {
        AttemptState.SENDING: "being sent",
        AttemptState.SENT: "waiting for the agent",
        AttemptState.STARTED: "running",
    }
    return words.get(operation.state, operation.state.value)


def spans_of(database: Database, execution: Execution) -> list[Span]:
    """Return where the time of the execution's attempts went."""
    with database.read() as connection:
        attempts = progress.ended_attempts(connection, execution.id)
    began = execution.started_at or execution.created_at
    return [_span(attempt, began) for attempt in attempts]


def _span(attempt: progress.EndedAttempt, began: float) -> Span:
    known = {name: attempt.durations.get(name) or 0.0 for name in ("install", "start", "run", "report")}
    # What the agent's clock does not explain lies between the dispatcher's decision and the agent's first step.
    queue = max(0.0, attempt.ended_at - attempt.created_at - sum(known.values()))
    return Span(
        operation=attempt.operation.rpartition(".")[2],
        instance=attempt.instance or "",
        agent=attempt.agent_id,
        # A resume begins the execution's time anew: what was sent before it has its own, negative time.
        begins=attempt.created_at - began,
        queue=queue,
        install=known["install"],
        start=known["start"],
        run=known["run"],
        return_=known["report"],
        succeeded=attempt.verdict in {SUCCEEDED, "rescheduled"},
        attempt=attempt.number,
    )
