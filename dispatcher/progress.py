"""Moves executions: what follows when an attempt ends, when a task is ready, when a stage is over.

Everything here works in memory and on the turn's transaction; nothing is published or awaited.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

from outrider.dispatcher import host_agents, model_changes, narrate
from outrider.dispatcher import operation as operations
from outrider.dispatcher.attempts import AttemptMaker
from outrider.dispatcher.errors import DispatcherError, OperationRefused
from outrider.dispatcher.fleet import Fleet
from outrider.dispatcher.graph_run import GraphRun, is_operation
from outrider.dispatcher.leases import LeaseBook
from outrider.dispatcher.model import resources_of
from outrider.dispatcher.predecessors import step_back
from outrider.dispatcher.retries import (
    UNKNOWN,
    Consequence,
    Ending,
    Next,
    after_never_started,
    after_unanswered,
    consequence,
)
from outrider.dispatcher.run import OpenAttempt, Predecessor, Run, Unstarted
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.store import attempts, bulk, graphs, tasks
from outrider.dispatcher.store.attempts import AttemptState
from outrider.dispatcher.store.executions import Status
from outrider.dispatcher.store.graphs import GraphState, StoredGraph
from outrider.dispatcher.store.tasks import StoredTask, TaskState
from outrider.dispatcher.timers import Timers
from outrider.dispatcher.turn import Turn
from outrider.dispatcher.workflows.brought import is_function
from outrider.dispatcher.workflows.errors import WorkflowError
from outrider.dispatcher.workflows.graph import ChangeKind, Record, Stage, StagePlan, Task, TaskGraph, TaskKind
from outrider.dispatcher.workflows.topology import AGENT
from outrider.messaging.messages import OperationError, PropertyChange, Verdict

log = logging.getLogger(__name__)


class Alarm(str, Enum):
    """What a timer is about."""

    RETRY = "retry"
    GIVE_UP = "give_up"
    REPEAT_CANCEL = "repeat_cancel"


TimerKey = tuple[Alarm, str, int]


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
        ready_again: Callable[[Run], None],
        graph_begins: Callable[[Turn, Run], None],
    ) -> None:
        self._settings = settings
        self._maker = maker
        self._fleet = fleet
        self._leases = leases
        self._timers = timers
        #: Called with a run that may go on because an agent has room again.
        self._ready_again = ready_again
        #: Called when a stage's graph is stored, before its first task.
        self._graph_begins = graph_begins

    # -- from ready tasks to attempts ---------------------------------------------------------------------------------

    def advance(self, turn: Turn, run: Run, *, budget: int) -> int:
        """Do what can be done now: local tasks, new attempts (at most `budget`), next stages. Returns attempts made."""
        made = 0
        while not run.ended:
            if run.graph is None:
                self._next_stage(turn, run)
                continue
            self._recover_subgraphs(turn, run)
            made += self._release(turn, run, budget - made)
            if not self._stage_over(run):
                break
            self._end_stage(turn, run)
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
            agent_id = self._maker.agent_of(run, task)
            if not self._fleet.has_room(agent_id):
                self._fleet.wait_for_room(agent_id, run, position)
                return 0
            epoch = self._fleet.epoch(agent_id)
            prepared = self._maker.prepare(turn, run, position, agent_id=agent_id, epoch=epoch)
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
        if run.execution.dry_run:
            if is_operation(task):
                narrate.about_task(turn, run, task, "task_succeeded", f"Dry run: would run {task.operation!r}")
                run.finished_operations += 1
        elif task.kind is TaskKind.SET_STATE and run.model is not None and task.instance and task.state:
            run.model.set_state(task.instance, task.state)
        if task.kind is TaskKind.EVENT:
            narrate.about_task(turn, run, task, "workflow_node_event", task.message or "")
        theirs = task.kind is TaskKind.LOCAL and not run.execution.dry_run
        run.current.move(position, TaskState.SENDING if theirs else TaskState.SUCCEEDED)
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
            operations.policy(self._settings, run, graph.tasks[position]),
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
        policy = operations.policy(self._settings, run, run.current.tasks[position])
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
        reason = f"{narrate.subject(task, graph.task_id(position))} on agent {agent_id!r} {follows.reason}"
        if follows.next is Next.DONE:
            self._succeeded(turn, run, position, ending)
        elif follows.next is Next.RETRY:
            self._reschedule(turn, run, position, follows.delay_seconds, reason, counted=follows.counted)
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
            if not run.failures:
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

    def room(self, released: Iterable[tuple[Run, int]]) -> None:
        """Let tasks go on that waited for their agents."""
        for waiting, position in released:
            if not waiting.ended and waiting.graph is not None:
                waiting.current.ready.append(position)
                self._ready_again(waiting)

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

    def _reschedule(self, turn: Turn, run: Run, position: int, delay: float, reason: str, *, counted: bool) -> None:
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
        if may_recover and self._hold_for_recovery(run, position):
            return
        if position and graph.function_lives:
            # The workflow function hears of it, and decides.
            return
        run.failures.append(reason)
        if run.failed_at is None:
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

    # -- subgraphs ----------------------------------------------------------------------------------------------------

    def _hold_for_recovery(self, run: Run, position: int) -> bool:
        """Arrange that the subgraph of a failed task is replaced once nothing of it runs; False = it cannot be."""
        if run.workflow.recover is None or run.cancel is not None:
            return False
        config = {} if run.model is None else run.model.config
        limit = int(config.get("subgraph_retries", self._settings.subgraph_retries))
        subgraph = run.current.recoverable(position, limit if limit >= 0 else 1_000_000)
        if subgraph is None:
            return False
        run.recovering[subgraph.id] = subgraph
        run.held.update(run.current.members(subgraph.id))
        return True

    def _recover_subgraphs(self, turn: Turn, run: Run) -> None:
        graph = run.current
        for subgraph in list(run.recovering.values()):
            if run.cancel is not None or run.workflow.recover is None or run.model is None:
                return
            members = graph.members(subgraph.id)
            if any(graph.states[each] is TaskState.SENDING for each in members):
                continue
            del run.recovering[subgraph.id]
            try:
                replacement = run.workflow.recover(subgraph.recovery or "", subgraph, run.model.view())
            except WorkflowError as error:
                run.failures.append(f"subgraph {subgraph.id!r} cannot be recovered: {error}")
                run.failed_at = run.failed_at or turn.now
                continue
            for each in members:
                self._timers.drop((Alarm.RETRY, run.id, each))
            new, changed = graph.replace(subgraph, replacement)
            self._store_tasks(turn, run, new)
            for each in members:
                turn.save_task(run, each)
            tasks.set_dependencies(turn.connection, {graph.task_id(each): graph.dependencies[each] for each in changed})
            graphs.set_subgraphs(turn.connection, graph.id, graph.stored_subgraphs())
            narrate.about_execution(turn, run, "workflow_event", f"Recovering subgraph {subgraph.id!r}")

    def extend(self, turn: Turn, run: Run, added: TaskGraph) -> None:
        """Add what a workflow function submitted."""
        graph = run.current
        self._store_tasks(turn, run, graph.extend(added))
        graphs.set_subgraphs(turn.connection, graph.id, graph.stored_subgraphs())

    # -- stages -------------------------------------------------------------------------------------------------------

    def _next_stage(self, turn: Turn, run: Run) -> None:
        stages = run.workflow.stages
        following = range(run.stage + 1, len(stages))
        found = next((each for each in following if stages[each].on_failure == run.stage_failed), None)
        if found is None or run.cancel is not None:
            self.end(turn, run)
            return
        run.stage = found
        stage = stages[found]
        plan = self._plan(run, stage)
        if plan is None:
            run.stage_failed = True
            self.end(turn, run)
            return
        try:
            if run.model is not None and not run.execution.dry_run:
                model_changes.apply(turn.connection, run.model, plan.before, now=turn.stored_now)
        except DispatcherError as error:
            run.failures.append(f"stage {stage.name!r} cannot change the deployment: {error}")
            run.stage_failed = True
            self.end(turn, run)
            return
        self._store_graph(turn, run, stage.name, plan)
        self._graph_begins(turn, run)
        if len(stages) > 1:
            narrate.about_execution(turn, run, "workflow_stage", f"Stage {stage.name!r}")

    def _plan(self, run: Run, stage: Stage) -> StagePlan | None:
        """Return what a stage does; None, with the reason among the failures, if it cannot be planned."""
        try:
            return stage.plan(_view(run))
        except WorkflowError as error:
            run.failures.append(f"stage {stage.name!r} cannot be planned: {error}")
        except Exception as error:
            # A planner's defect fails its own execution; raised, it would end every turn and stop all the others.
            log.exception("execution %s: planning stage %r failed", run.id, stage.name, extra={"action": "plan"})
            run.failures.append(f"stage {stage.name!r} cannot be planned (a defect): {type(error).__name__}: {error}")
        return None

    def _store_graph(self, turn: Turn, run: Run, name: str, plan: StagePlan) -> None:
        graph = run.graph = GraphRun.new(f"{run.id}-{run.stage}", plan.graph)
        run.after = () if run.execution.dry_run else plan.after
        stored = StoredGraph(
            id=graph.id,
            execution_id=run.id,
            name=name,
            position=run.stage,
            state=GraphState.RUNNING,
            subgraphs=graph.stored_subgraphs(),
            after=model_changes.stored(run.after),
            created_at=turn.stored_now,
        )
        graphs.insert(turn.connection, stored)
        self._store_tasks(turn, run, range(len(graph.tasks)))

    def _store_tasks(self, turn: Turn, run: Run, positions: range) -> None:
        graph = run.current
        for start in range(positions.start, positions.stop, _INSERT_ROWS):
            chunk = range(start, min(start + _INSERT_ROWS, positions.stop))
            tasks.insert(turn.connection, [tasks.row_of(_stored(run, graph, each)) for each in chunk])
        run.total_operations += sum(is_operation(graph.tasks[each]) for each in positions)
        turn.save_execution(run, {"total_operations": run.total_operations})

    def _stage_over(self, run: Run) -> bool:
        graph = run.current
        if graph.finished:
            return True
        if run.given_up:
            return True
        if run.open:
            return False
        if run.cancel is not None:
            return True
        if run.recovering or graph.ready or graph.count(TaskState.RESCHEDULED) or self._fleet.has_waiting(run):
            return False
        if not run.failures:
            waiting = [graph.tasks[each].id for each in graph.positions(TaskState.PENDING)[:5]]
            run.failures.append(f"tasks wait for each other and none can start: {', '.join(waiting)} …")
        return True

    def _end_stage(self, turn: Turn, run: Run) -> None:
        graph = run.current
        succeeded = graph.finished
        if succeeded and run.model is not None:
            model_changes.apply(turn.connection, run.model, run.after, now=turn.stored_now)
            if any(change.kind is ChangeKind.REPLACE_PLAN for change in run.after):
                # Another plan may name other versions of plugins, and come with other files.
                run.plugins.clear()
                run.resources = resources_of(turn.connection, run.model)
        for position in graph.positions(TaskState.RESCHEDULED):
            self._timers.drop((Alarm.RETRY, run.id, position))
            graph.move(position, TaskState.CANCELLED)
            turn.save_task(run, position, error="its next attempt was not made: the execution ended")
        graphs.set_state(turn.connection, graph.id, GraphState.SUCCEEDED if succeeded else GraphState.FAILED)
        self._fleet.forget_waiting(run)
        run.graph, run.after = None, ()
        run.operations.clear()
        run.policies.clear()
        run.unstarted.clear()
        run.recovering.clear()
        run.held.clear()
        run.edits.clear()
        run.predecessors.clear()
        if not succeeded:
            run.stage_failed = True

    def end(self, turn: Turn, run: Run) -> None:
        """Write how the execution ended, its last events first."""
        name, error = run.execution.workflow, "\n".join(run.failures) or None
        if run.cancel is not None:
            status, event_type, text = Status.CANCELLED, "workflow_cancelled", f"{name!r} workflow execution cancelled"
        elif run.stage_failed or run.failures:
            status, event_type = Status.FAILED, "workflow_failed"
            text = f"{name!r} workflow execution failed: {error}"
        else:
            status, event_type, text = Status.TERMINATED, "workflow_succeeded", f"{name!r} workflow execution succeeded"
        narrate.about_execution(turn, run, event_type, text)
        turn.save_execution(
            run,
            {
                "status": status.value,
                "error": error,
                "ended_at": turn.stored_now,
                "finished_operations": run.finished_operations,
            },
        )
        for alarm in (Alarm.GIVE_UP, Alarm.REPEAT_CANCEL):
            self._timers.drop((alarm, run.id, 0))
        run.ended = True


#: Rows of one insert: keeps the memory of a graph of a hundred thousand tasks flat.
_INSERT_ROWS = 2000


def _stored(run: Run, graph: GraphRun, position: int) -> StoredTask:
    return StoredTask(
        id=graph.task_id(position),
        graph_id=graph.id,
        execution_id=run.id,
        position=position,
        task=graph.tasks[position],
        dependencies=graph.dependencies[position],
    )


def _view(run: Run) -> Any:
    """Return what planners look at; an execution without a deployment plans from nothing."""
    if run.model is not None:
        return run.model.view()
    return operations.EMPTY_VIEW
