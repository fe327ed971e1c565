"""Results that come after their attempt's verdict: kept always, and decisive while nothing was built on the verdict.

Rare, and one may change what the next one means, so each is written at once instead of with the turn's other rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from outrider.dispatcher import narrate
from outrider.dispatcher.predecessors import step_back
from outrider.dispatcher.progress import Progress
from outrider.dispatcher.retries import Ending
from outrider.dispatcher.run import Run
from outrider.dispatcher.store import attempts, bulk, executions, jsontext, tasks
from outrider.dispatcher.store.attempts import Attempt
from outrider.dispatcher.store.executions import Execution
from outrider.dispatcher.store.tasks import StoredTask, TaskState
from outrider.dispatcher.turn import Turn
from outrider.messaging.messages import Verdict


@dataclass(frozen=True, slots=True)
class Kept:
    """Whose attempt a late word was about."""

    execution: Execution
    #: If the execution is run here, and still ours.
    run: Run | None


class LateWords:
    """Takes what agents and the broker say of attempts that were given up."""

    def __init__(self, progress: Progress, run_of: Callable[[str], Run | None]) -> None:
        self._progress = progress
        #: The execution if it is run here.
        self._run_of = run_of

    def take(self, turn: Turn, attempt: Attempt, word: Mapping[str, Any]) -> Kept | None:
        """Keep a word (`verdict`, `proof`, and what is stored of a result); returns None if one was kept before.

        It takes the verdict's place if no newer attempt was begun. That an attempt never started decides nothing by
        itself: then the one before it counts again, and what was kept of that one may decide.
        """
        if attempt.verdict not in attempts.UNCERTAIN or attempt.late_result is not None:
            return None
        bulk.write(turn.connection, attempts.LATE, [{"b_id": attempt.id, "b_result": jsontext.dump(word)}])
        execution = executions.get(turn.connection, attempt.execution_id)
        task = tasks.get(turn.connection, attempt.task_id)
        run = self._run_of(execution.id)
        if run is not None and not turn.own(run):
            run = None
        at_stage = run is not None and run.graph is not None and run.graph.id == task.graph_id
        decided = self._decide(turn, run if at_stage else None, task, attempt, word)
        if decided:
            outcome = "it takes the verdict's place"
        elif run is None and task.state is TaskState.SENDING and task.attempt == attempt.number:
            outcome = "the dispatcher that runs the execution decides with it"
        else:
            outcome = "a newer attempt decided, so it is only kept"
        self._tell(turn, execution, task, attempt, word, outcome)
        if decided and word["verdict"] == Verdict.NEVER_STARTED.value:
            self._count_the_one_before(turn, run if at_stage else None, execution, task)
        return Kept(execution, run)

    def _decide(self, turn: Turn, run: Run | None, task: StoredTask, attempt: Attempt, word: Mapping[str, Any]) -> bool:
        newest = attempts.last_begun(turn.connection, {task.id: task.attempt}).get(task.id)
        if newest is None or newest.id != attempt.id:
            return False
        ending = Ending.stored(Verdict(word["verdict"]), word)
        if not self._follow(turn, run, task, attempt, ending):
            return False
        bulk.write(turn.connection, attempts.REPLACE, [attempts.replacement(attempt.id, word)])
        return True

    def _follow(self, turn: Turn, run: Run | None, task: StoredTask, attempt: Attempt, ending: Ending) -> bool:
        """Draw the consequences; returns whether there was still something to decide."""
        # What this turn made of a task of ours is written at its end.
        state = task.state if run is None else run.current.states[task.position]
        waiting = state not in (TaskState.SENDING, TaskState.SUCCEEDED)
        if ending.verdict is Verdict.NEVER_STARTED:
            return waiting
        if run is not None and self._progress.replace_late(turn, run, attempt.id, task.position, ending):
            return True
        if state not in (TaskState.FAILED, TaskState.CANCELLED):
            return False
        if run is None and ending.verdict is Verdict.SUCCEEDED:
            # The execution has ended; a resume will find the operation done.
            row = {"b_state": TaskState.SUCCEEDED.value, "b_attempt": task.attempt, "b_retries": task.retries}
            turn.tasks[task.id] = {**row, "b_id": task.id, "b_not_before": None, "b_error": None}
        return True

    def _count_the_one_before(self, turn: Turn, run: Run | None, execution: Execution, task: StoredTask) -> None:
        if run is not None:
            step_back(turn, run, task.position)
        before = attempts.last_begun(turn.connection, {task.id: task.attempt}).get(task.id)
        if before is None or before.verdict not in attempts.UNCERTAIN or before.late_result is None:
            return
        if self._decide(turn, run, task, before, before.late_result):
            outcome = "it takes the verdict's place: no attempt was begun after it"
            self._tell(turn, execution, task, before, before.late_result, outcome)

    def _tell(
        self,
        turn: Turn,
        execution: Execution,
        task: StoredTask,
        attempt: Attempt,
        word: Mapping[str, Any],
        outcome: str,
    ) -> None:
        message = f"A late result of attempt {attempt.id} says {word['verdict']}: {outcome}"
        turn.events.append(narrate.of_stored_task(execution, task, message, happened_at=turn.stored_now))
