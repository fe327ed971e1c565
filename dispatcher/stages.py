"""A workflow's stages: each is planned when the one before is over, stored as a graph, and closed when it is done."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from outrider.dispatcher import model_changes, narrate
from outrider.dispatcher import operation as operations
from outrider.dispatcher.alarms import Alarm, TimerKey
from outrider.dispatcher.errors import DispatcherError
from outrider.dispatcher.fleet import Fleet
from outrider.dispatcher.graph_run import GraphRun, is_operation
from outrider.dispatcher.model import resources_of
from outrider.dispatcher.run import Run
from outrider.dispatcher.store import graphs, tasks
from outrider.dispatcher.store.executions import Status
from outrider.dispatcher.store.graphs import GraphState, StoredGraph
from outrider.dispatcher.store.tasks import TaskState
from outrider.dispatcher.timers import Timers
from outrider.dispatcher.turn import Turn
from outrider.dispatcher.workflows.errors import WorkflowError
from outrider.dispatcher.workflows.graph import ChangeKind, ModelChange, Stage, StagePlan, TaskGraph

log = logging.getLogger(__name__)

#: Rows of one insert: keeps the memory of a graph of a hundred thousand tasks flat.
_INSERT_ROWS = 2000


class Stages:
    """Leads executions from stage to stage, and to their end."""

    def __init__(self, fleet: Fleet, timers: Timers[TimerKey], *, graph_begins: Callable[[Turn, Run], None]) -> None:
        self._fleet = fleet
        self._timers = timers
        #: Called when a stage's graph is stored, before its first task.
        self._graph_begins = graph_begins

    def begin_next(self, turn: Turn, run: Run) -> None:
        """Plan and store the stage that follows; with none left, or a plan that cannot be made, the execution ends."""
        stages = run.workflow.stages
        following = range(run.stage + 1, len(stages))
        found = next((each for each in following if stages[each].on_failure == run.stage_failed), None)
        if found is None or run.cancel is not None:
            self._end(turn, run)
            return
        run.stage = found
        stage = stages[found]
        plan = self._plan(run, stage)
        if plan is None:
            run.stage_failed = True
            self._end(turn, run)
            return
        try:
            if run.model is not None and not run.execution.dry_run:
                model_changes.apply(turn.connection, run.model, plan.before, now=turn.stored_now)
                self._note_new_plan(turn, run, plan.before)
        except DispatcherError as error:
            run.failures.append(f"stage {stage.name!r} cannot change the deployment: {error}")
            run.stage_failed = True
            self._end(turn, run)
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
        self.store_tasks(turn, run, range(len(graph.tasks)))

    def store_tasks(self, turn: Turn, run: Run, positions: range) -> None:
        """Store tasks of the current graph that are new."""
        graph = run.current
        for start in range(positions.start, positions.stop, _INSERT_ROWS):
            chunk = range(start, min(start + _INSERT_ROWS, positions.stop))
            tasks.insert(turn.connection, [task_row(run, graph, each) for each in chunk])
        run.total_operations += sum(is_operation(graph.tasks[each]) for each in positions)
        turn.save_execution(run, {"total_operations": run.total_operations})

    def over(self, run: Run) -> bool:
        """Return whether nothing of the current stage is left to do, or to wait for."""
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

    def finish(self, turn: Turn, run: Run) -> None:
        """Close the current stage; the model changes only if all of it succeeded."""
        graph = run.current
        succeeded = graph.finished
        if succeeded and run.model is not None:
            model_changes.apply(turn.connection, run.model, run.after, now=turn.stored_now)
            self._note_new_plan(turn, run, run.after)
        for position in graph.positions(TaskState.RESCHEDULED):
            self._timers.drop((Alarm.RETRY, run.id, position))
            graph.move(position, TaskState.CANCELLED)
            turn.save_task(run, position, error="its next attempt was not made: the execution ended")
        graphs.set_state(turn.connection, graph.id, GraphState.SUCCEEDED if succeeded else GraphState.FAILED)
        self._fleet.forget_waiting(run)
        self._timers.drop((Alarm.GIVE_UP, run.id, 0))
        run.graph, run.after, run.failed_at = None, (), None
        run.operations.clear()
        run.policies.clear()
        run.unstarted.clear()
        run.recovering.clear()
        run.held.clear()
        run.edits.clear()
        run.predecessors.clear()
        if not succeeded:
            run.stage_failed = True

    def _note_new_plan(self, turn: Turn, run: Run, changes: Iterable[ModelChange]) -> None:
        """Another plan may name other versions of plugins, and come with other files."""
        if run.model is not None and any(change.kind is ChangeKind.REPLACE_PLAN for change in changes):
            run.plugins.clear()
            run.resources = resources_of(turn.connection, run.model)

    def _end(self, turn: Turn, run: Run) -> None:
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
        self._timers.drop((Alarm.REPEAT_CANCEL, run.id, 0))
        run.ended = True

    def extend(self, turn: Turn, run: Run, added: TaskGraph) -> None:
        """Add what a workflow function submitted."""
        graph = run.current
        self.store_tasks(turn, run, graph.extend(added))
        graphs.set_subgraphs(turn.connection, graph.id, graph.stored_subgraphs())


def task_row(run: Run, graph: GraphRun, position: int) -> dict[str, Any]:
    """Return the row of a task that is new in a graph."""
    return tasks.new_row(
        graph.tasks[position],
        graph.dependencies[position],
        graph_id=graph.id,
        execution_id=run.id,
        position=position,
    )


def _view(run: Run) -> Any:
    """Return what planners look at; an execution without a deployment plans from nothing."""
    if run.model is not None:
        return run.model.view()
    return operations.EMPTY_VIEW
