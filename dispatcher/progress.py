"""Moves executions: what follows when a task is ready, and when an attempt ends.

Everything here works in memory and on the turn's transaction; nothing is published or awaited.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from outrider.dispatcher import children, host_agents, narrate
from outrider.dispatcher import operation as operations
from outrider.dispatcher.alarms import Alarm, TimerKey
from outrider.dispatcher.attempts import AttemptMaker
from outrider.dispatcher.errors import OperationRefused
from outrider.dispatcher.fleet import Fleet
from outrider.dispatcher.graph_run import is_operation
from outrider.dispatcher.leases import LeaseBook
from outrider.dispatcher.predecessors import step_back
from outrider.dispatcher.retries import (
    UNKNOWN,
    Consequence,
    Ending,
    Next,
    Policy,
    after_never_started,
    after_unanswered,
    consequence,
)
from outrider.dispatcher.run import OpenAttempt, Predecessor, Run, Unstarted
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.stages import Stages
from outrider.dispatcher.store import attempts, bulk
from outrider.dispatcher.store.attempts import AttemptState
from outrider.dispatcher.store.tasks import TaskState
from outrider.dispatcher.subgraphs import Subgraphs
from outrider.dispatcher.timers import Timers
from outrider.dispatcher.turn import Turn
from outrider.dispatcher.workflows.brought import is_function
from outrider.dispatcher.workflows.graph import Record, Task, TaskKind
from outrider.dispatcher.workflows.topology import AGENT
from outrider.messaging.messages import OperationError, PropertyChange, Verdict

log = logging.getLogger(__name__)


class Progress:
    """The rules by which executions go on."""

    def __init__(
        self,
        settings: EngineSettings,
        *,
        maker: AttemptMaker,
        fleet: Fleet,
        leases: LeaseBook,
        timers: Timers[TimerKey],
        stages: Stages,
        ready_again: Callable[[Run], None],
    ) -> None:
        self._settings = settings
        self._maker = maker
        self._fleet = fleet
        self._leases = leases
        self._timers = timers
        self._stages = stages
        self.subgraphs = Subgraphs(settings, timers, stages)
        #: Called with a run that may go on because an agent has room again.
        self._ready_again = ready_again

    # -- from ready tasks to attempts ---------------------------------------------------------------------------------

    def advance(self, turn: Turn, run: Run, *, budget: int) -> int:
        """Do what can be done now: local tasks, new attempts (at most `budget`), next stages. Returns attempts made."""
        made = 0
        while not run.ended:
            if run.graph is None:
                self._stages.begin_next(turn, run)
                continue
            self.subgraphs.replace_failed(turn, run)
            made += self._release(turn, run, budget - made)
            if not self._stages.over(run):
                break
            self._stages.finish(turn, run)
        return made

    def _release(self, turn: Turn, run: Run, budget: int) -> int:
        made = 0
        graph = run.current
        # A workflow function waits for the others: it takes nobody's place.
        limit = (run.execution.max_concurrency or self._settings.max_open_per_execution) + graph.function_lives
        while graph.ready and not run.stopping:
            position = graph.ready[0]
            task = graph.tasks[position]
            if graph.states[position] is not TaskState.PENDING or position in run.held:
                graph.ready.popleft()
            elif not is_operation(task) or run.execution.dry_run:
                graph.ready.popleft()
                self._do_locally(turn, run, position, task)
            elif made >= budget or len(run.open) >= limit:
                break
            else:
                graph.ready.popleft()
                made += self._send(turn, run, position, task)
        return made

    def _send(self, turn: Turn, run: Run, position: int, task: Task) -> int:
        """Make the task's next attempt; 0 if its agent has no room, or it cannot be sent at all."""
        graph = run.current
        try:
            operation = operations.find(run, task)
            agent_id = self._maker.agent_of(run, task, operation)
            if not self._fleet.has_room(agent_id):
                self._fleet.wait_for_room(agent_id, run, position, now=turn.now)
                return 0
            epoch = self._fleet.epoch(agent_id)
            prepared = self._maker.prepare(turn, run, position, operation, agent_id=agent_id, epoch=epoch)
        except OperationRefused as error:
            self._failed(turn, run, position, str(error), error=None, may_recover=True)
            return 0
        run.open[prepared.opened.id] = prepared.opened
        self._fleet.opened(agent_id)
        self._leases.open(prepared.opened.id, now=turn.now)
        graph.attempts[position] = prepared.opened.number
        graph.move(position, TaskState.SENDING)
        turn.save_task(run, position)
        turn.new_attempts.append(prepared.row)
        turn.outbox[prepared.opened.id] = prepared.outgoing
        narrate.about_task(turn, run, task, "sending_task", f"Sending task {task.operation!r} to agent {agent_id!r}")
        return 1

    def _do_locally(self, turn: Turn, run: Run, position: int, task: Task) -> None:
        if task.kind is TaskKind.CHILDREN and not run.execution.dry_run:
            self._lead_children(turn, run, position, task)
            return
        if run.execution.dry_run:
            if is_operation(task):
                narrate.about_task(turn, run, task, "task_succeeded", f"Dry run: would run {task.operation!r}")
                run.finished_operations += 1
        elif task.kind is TaskKind.SET_STATE and run.model is not None and task.instance and task.state:
            run.model.set_state(task.instance, task.state)
        elif task.kind is TaskKind.FORGET and run.model is not None and task.instance and task.record:
            run.model.forget(task.instance, task.record.value)
        if task.kind is TaskKind.EVENT:
            narrate.about_task(turn, run, task, "workflow_node_event", task.message or "")
        theirs = task.kind is TaskKind.LOCAL and not run.execution.dry_run
        run.current.move(position, TaskState.SENDING if theirs else TaskState.SUCCEEDED)
        turn.save_task(run, position)

    def _lead_children(self, turn: Turn, run: Run, position: int, task: Task) -> None:
        """Let a workflow of the deployments inside run, and look again until it has ended everywhere."""
        graph = run.current
        found = children.lead(turn, run, task, number=graph.attempts[position])
        run.leads = bool(found.open)
        if found.open:
            graph.move(position, TaskState.RESCHEDULED)
            self._timers.set((Alarm.RETRY, run.id, position), turn.now + children.LOOK_SECONDS)
            reason = f"it waits for {len(found.open)} executions of deployments inside, first {found.open[0]}"
            turn.save_task(run, position, not_before=turn.stored_now + children.LOOK_SECONDS, error=reason)
        elif found.failed:
            # Another try, after a resume, is another execution.
            graph.attempts[position] += 1
            reason = f"{task.operation} did not succeed in all deployments inside: {'; '.join(found.failed)}"
            self._failed(turn, run, position, reason, error=None, may_recover=False)
        else:
            graph.move(position, TaskState.SUCCEEDED)
            turn.save_task(run, position)

    # -- from verdicts to consequences --------------------------------------------------------------------------------

    def settle(
        self,
        turn: Turn,
        run: Run,
        attempt: OpenAttempt,
        ending: Ending,
        *,
        properties: Iterable[PropertyChange] = (),
    ) -> None:
        """Draw the consequences of an attempt's verdict."""
        self._close(run, attempt)
        # Whoever found the verdict, the execution has something to do now.
        self._ready_again(run)
        if run.model is not None:
            newest = run.model.merge(properties, after=attempt.property_sequence)
            if newest != attempt.property_sequence:
                turn.sequences[attempt.id] = newest
        if ending.verdict is Verdict.NEVER_STARTED:
            late = self._late_word(turn, run, attempt.position)
            if late is None:
                follows = self._after_never_started(turn, run, attempt, ending)
            else:
                ending = late
                follows = self._consequence(turn, run, attempt.position, ending)
        else:
            self._remember(turn, run, attempt, ending)
            follows = self._consequence(turn, run, attempt.position, ending)
        self._follow(turn, run, attempt.position, ending, follows, agent_id=attempt.agent_id)

    def _consequence(self, turn: Turn, run: Run, position: int, ending: Ending) -> Consequence:
        graph = run.current
        run.unstarted.pop(position, None)
        before = run.predecessors.get(position)
        return consequence(
            ending,
            self.policy(run, position),
            retries=graph.retries[position],
            cancelling=run.stopping,
            may_ask_again=before is None or turn.now - before.since < self._settings.start_window_seconds,
        )

    def _late_word(self, turn: Turn, run: Run, position: int) -> Ending | None:
        """Return the result of the attempt before one that did not start; it may have come in the meantime.

        If that one did not start either, the one before it counts, and so on.
        """
        before = run.predecessors.get(position)
        while before is not None and before.verdict in UNKNOWN:
            late = attempts.by_ids(turn.connection, [before.attempt_id])[before.attempt_id].late_result
            if late is None:
                return None
            bulk.write(turn.connection, attempts.REPLACE, [attempts.replacement(before.attempt_id, late)])
            ending = Ending.stored(Verdict(late["verdict"]), late)
            if ending.verdict is Verdict.NEVER_STARTED:
                before = step_back(turn, run, position)
                continue
            before.verdict, before.words = ending.verdict, ending.words
            return None if self._made_room(run, ending) else ending
        return None

    def _after_never_started(self, turn: Turn, run: Run, attempt: OpenAttempt, ending: Ending) -> Consequence:
        position = attempt.position
        unstarted = run.unstarted.setdefault(position, Unstarted(0, turn.now))
        unstarted.times += 1
        policy = self.policy(run, position)
        before = run.predecessors.get(position)
        if before is not None and before.leaves_open(policy):
            return after_unanswered(
                self._settings,
                ending,
                times=unstarted.times,
                open_for_seconds=turn.now - before.since,
                cancelling=run.stopping,
                words=before.words,
            )
        return after_never_started(
            self._settings,
            times=unstarted.times,
            since_first_seconds=turn.now - unstarted.since,
            cancelling=run.stopping,
            reason=f"never started: {ending.error.message if ending.error else 'no reason was given'}",
        )

    def _remember(self, turn: Turn, run: Run, attempt: OpenAttempt, ending: Ending) -> None:
        """Keep what the task's next attempt, if there is one, has to know of this one."""
        before = run.predecessors.get(attempt.position)
        since = turn.now
        asked = before is not None and before.verdict in UNKNOWN and not before.permitted
        if before is not None and asked and attempt.state is not AttemptState.STARTED:
            # Nobody has seen the one run that was to ask, so the question is as old as before.
            since = before.since
        run.predecessors[attempt.position] = Predecessor(
            attempt.id,
            attempt.agent_id,
            ending.verdict,
            ending.words,
            since,
            interrupted=ending.verdict in UNKNOWN or (before is not None and before.interrupted),
        )

    def _follow(
        self, turn: Turn, run: Run, position: int, ending: Ending, follows: Consequence, *, agent_id: str
    ) -> None:
        """Do what follows from an ending."""
        graph = run.current
        task = graph.tasks[position]
        if follows.next is Next.DONE:
            self._succeeded(turn, run, position, ending)
            return
        reason = f"{narrate.subject(task, graph.task_id(position))} on agent {agent_id!r} {follows.reason}"
        if follows.next is Next.RETRY:
            self.reschedule(turn, run, position, follows.delay_seconds, reason, counted=follows.counted)
        elif follows.next is Next.CANCELLED:
            graph.move(position, TaskState.CANCELLED)
            turn.save_task(run, position, error=reason)
            narrate.about_task(turn, run, task, "task_failed", f"Task cancelled: {reason}")
        elif follows.next is Next.ASK:
            reason += (
                f". A person decides about operation {graph.task_id(position)}: retry, mark as done, or skip; then "
                "resume the execution"
            )
            self._failed(turn, run, position, reason, error=ending.error, may_recover=False)
        else:
            self._failed(turn, run, position, reason, error=ending.error, may_recover=True)

    def replace_late(self, turn: Turn, run: Run, attempt_id: str, position: int, ending: Ending) -> bool:
        """Let a late result decide if nothing was released, no newer attempt made since; returns whether it did."""
        graph = run.current
        before = run.predecessors.get(position)
        if before is None or before.attempt_id != attempt_id:
            return False
        if graph.states[position] is TaskState.FAILED and ending.verdict is Verdict.SUCCEEDED:
            run.failures = [each for each in run.failures if graph.task_id(position) not in each]
            if not run.failures and run.cancel is None:
                run.failed_at = None
                self._timers.drop((Alarm.GIVE_UP, run.id, 0))
            self._succeeded(turn, run, position, ending)
            return True
        if graph.states[position] not in (TaskState.RESCHEDULED, TaskState.PENDING):
            return False
        before.verdict, before.words = ending.verdict, ending.words
        if self._made_room(run, ending):
            return True
        self._timers.drop((Alarm.RETRY, run.id, position))
        follows = self._consequence(turn, run, position, ending)
        self._follow(turn, run, position, ending, follows, agent_id=before.agent_id)
        return True

    def _made_room(self, run: Run, ending: Ending) -> bool:
        """Return whether an attempt was ended by its agent for the sake of the next one: nobody else stopped it."""
        return ending.verdict is Verdict.CANCELLED and not run.stopping

    def retry_now(self, turn: Turn, run: Run, position: int) -> None:
        """The time of a task's next attempt has come."""
        graph = run.current
        if graph.states[position] is TaskState.RESCHEDULED:
            graph.move(position, TaskState.PENDING)
            graph.ready.append(position)
            turn.save_task(run, position)

    def _close(self, run: Run, attempt: OpenAttempt) -> None:
        run.open.pop(attempt.id, None)
        self._leases.close(attempt.id)
        self.room(self._fleet.closed(attempt.agent_id))

    def policy(self, run: Run, position: int) -> Policy:
        """Return how often and when a task is tried again."""
        return operations.policy(self._settings, run, run.current.tasks[position])

    def room(self, released: Iterable[tuple[Run, int]]) -> None:
        """Let tasks go on that waited for their agents."""
        for waiting, position in released:
            if not waiting.ended and waiting.graph is not None:
                waiting.current.ready.append(position)
                self._ready_again(waiting)

    def refuse_waiting(self, turn: Turn) -> None:
        """Fail the tasks that have waited for a start window for agents that are not trusted any more."""
        window = self._settings.start_window_seconds
        for agent_id, run, position in self._fleet.pop_vain(now=turn.now, patience_seconds=window):
            if not turn.own(run) or run.graph is None or run.current.states[position] is not TaskState.PENDING:
                continue
            subject = narrate.subject(run.current.tasks[position], run.current.task_id(position))
            reason = (
                f"{subject} was not sent within {window:g} s: the journal of agent {agent_id!r} cannot be trusted, and "
                "it has not begun a new one; see `outrider agent list`"
            )
            self._failed(turn, run, position, reason, error=None, may_recover=True)
            self._ready_again(run)

    def _succeeded(self, turn: Turn, run: Run, position: int, ending: Ending) -> None:
        task = run.current.tasks[position]
        self._record(turn, run, task, ok=True, value=ending.value)
        run.predecessors.pop(position, None)
        run.finished_operations += 1
        if task.operation is not None and task.operation.startswith(AGENT):
            host_agents.note_success(turn.connection, run, task, now=turn.stored_now)
        run.current.move(position, TaskState.SUCCEEDED)
        turn.save_task(run, position)
        narrate.about_task(turn, run, task, "task_succeeded", f"Task succeeded {task.operation!r}")
        if is_function(task):
            self._leave_behind(turn, run)

    def _leave_behind(self, turn: Turn, run: Run) -> None:
        """A workflow function succeeded although tasks of its failed: it went on without them."""
        graph = run.current
        failed = graph.positions(TaskState.FAILED, TaskState.CANCELLED)
        local = [each for each in graph.positions(TaskState.SENDING) if graph.tasks[each].kind is TaskKind.LOCAL]
        blocked = [each for each in graph.dependents(failed) if graph.states[each] is TaskState.PENDING]
        for position in (*blocked, *failed, *local):
            graph.move(position, TaskState.SUPERSEDED)
            turn.save_task(run, position, error="the workflow went on without it")

    def reschedule(self, turn: Turn, run: Run, position: int, delay: float, reason: str, *, counted: bool) -> None:
        """Arrange a task's next attempt."""
        graph = run.current
        graph.retries[position] += counted
        graph.move(position, TaskState.RESCHEDULED)
        self._timers.set((Alarm.RETRY, run.id, position), turn.now + delay)
        turn.save_task(run, position, not_before=turn.stored_now + delay, error=reason)
        text = f"Task rescheduled: {reason}; next attempt in {delay:g} s"
        narrate.about_task(turn, run, graph.tasks[position], "task_rescheduled", text)

    def _failed(
        self, turn: Turn, run: Run, position: int, reason: str, *, error: OperationError | None, may_recover: bool
    ) -> None:
        graph = run.current
        task = graph.tasks[position]
        self._record(turn, run, task, ok=False, value=reason)
        causes = narrate.causes_of(error)
        if task.ignore_failure:
            run.finished_operations += 1
            graph.move(position, TaskState.SUCCEEDED)
            turn.save_task(run, position, error=reason)
            narrate.about_task(turn, run, task, "task_failed", f"Ignored: {reason}", causes=causes)
            return
        graph.move(position, TaskState.FAILED)
        turn.save_task(run, position, error=reason)
        narrate.about_task(turn, run, task, "task_failed", reason, causes=causes)
        if may_recover and self.subgraphs.hold(run, position):
            return
        if position and graph.function_lives:
            # The workflow function hears of it, and decides.
            return
        run.failures.append(reason)
        if run.failed_at is None and run.cancel is None:
            # A cancel has a bound of its own.
            run.failed_at = turn.now
            self._timers.set((Alarm.GIVE_UP, run.id, 0), turn.now + run.execution.wait_after_fail_seconds)

    def _record(self, turn: Turn, run: Run, task: Task, *, ok: bool, value: Any) -> None:
        """Keep what checks and drift operations found out in the instance's system properties."""
        if task.record is None or task.instance is None or run.model is None:
            return
        found: Mapping[str, Any] = {"ok": ok, "timestamp": turn.stored_now, "task": task.operation, "result": value}
        if task.record in (Record.SOURCE_DRIFT, Record.TARGET_DRIFT):
            instance = run.model.instances.get(task.instance)
            before = {} if instance is None else instance.system_properties.get(task.record.value, {})
            found = {**before, str(task.target): found}
        run.model.set_system_property(task.instance, task.record.value, found)
