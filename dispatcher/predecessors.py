"""What a task's next attempt has to know of the ones before it: read from the store, after a restart or a late word."""

from __future__ import annotations

from collections.abc import Iterable

from outrider.dispatcher.retries import UNKNOWN, Ending
from outrider.dispatcher.run import Predecessor, Run
from outrider.dispatcher.store import attempts, tasks
from outrider.dispatcher.store.tasks import DONE, StoredTask
from outrider.dispatcher.turn import Turn


def remember(turn: Turn, run: Run, rows: Iterable[StoredTask]) -> None:
    """Find what the next attempts of these tasks have to name, and whether a person has decided about it."""
    tried = {row.id: row for row in rows if row.attempt and row.state not in DONE}
    found = attempts.last_begun(turn.connection, {row.id: row.attempt for row in tried.values()})
    for task_id, last in found.items():
        row = tried[task_id]
        if last.verdict is None:
            continue
        run.predecessors[row.position] = Predecessor(
            last.id,
            last.agent_id,
            last.verdict,
            Ending.stored(last.verdict, last.result or {}).words,
            turn.now - max(turn.stored_now - (last.ended_at or turn.stored_now), 0.0),
            permitted=tasks.decided(row, last.number),
            interrupted=last.verdict in UNKNOWN,
        )


def step_back(turn: Turn, run: Run, position: int) -> Predecessor | None:
    """Return the one that counts now: the task's last attempt turned out never to have started (that is stored)."""
    run.predecessors.pop(position, None)
    remember(turn, run, [tasks.get(turn.connection, run.current.task_id(position))])
    return run.predecessors.get(position)
