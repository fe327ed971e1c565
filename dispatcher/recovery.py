"""Takes up an execution from the store: a new one, one to be resumed, or one whose dispatcher died."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy.engine import Connection

from outrider.dispatcher import model_changes
from outrider.dispatcher.errors import DispatcherError
from outrider.dispatcher.graph_run import GraphRun, is_operation
from outrider.dispatcher.model import Model, resources_of
from outrider.dispatcher.predecessors import remember
from outrider.dispatcher.run import OpenAttempt, Run
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.stages import task_row
from outrider.dispatcher.store import attempts, executions, graphs, tasks
from outrider.dispatcher.store.attempts import Attempt, AttemptState
from outrider.dispatcher.store.executions import Execution, Status
from outrider.dispatcher.store.graphs import GraphState, StoredGraph
from outrider.dispatcher.store.tasks import DONE, DecisionKind, StoredTask, TaskState
from outrider.dispatcher.turn import Turn
from outrider.dispatcher.workflows.availability import require_available
from outrider.dispatcher.workflows.errors import WorkflowError
from outrider.dispatcher.workflows.graph import TaskGraph, Workflow
from outrider.dispatcher.workflows.view import DeploymentView

#: (name, parameters, view) → the workflow; raises `WorkflowError`.
Planner = Callable[[Execution, DeploymentView], Workflow]


@dataclass(slots=True)
class Restored:
    """An execution in memory, and what has to be done first."""

    run: Run
    #: Attempts of which it is not known whether the broker has them: published again under the same id.
    unsent: list[str] = field(default_factory=list)
    #: Attempts that ended while nobody acted on it.
    unapplied: list[Attempt] = field(default_factory=list)
    #: Position → seconds until its next attempt.
    retries: dict[int, float] = field(default_factory=dict)


def restore(turn: Turn, execution_id: str, planner: Planner, settings: EngineSettings) -> Restored:
    """Read an execution that was just claimed. Raises `NotFound`, `WorkflowError`."""
    connection = turn.connection
    execution = executions.get(connection, execution_id)
    model, resources = _deployment(connection, execution, settings)
    view = DeploymentView(id="", nodes={}, instances={}) if model is None else model.view()
    run = Run(execution, _workflow(planner, execution, view), model, resources=resources)
    run.finished_operations, run.total_operations = execution.finished_operations, execution.total_operations
    restored = Restored(run)
    # A start is stored with the first graph, so one that was never started has none.
    stored_graphs = [] if execution.started_at is None else graphs.of_execution(connection, execution_id)
    _place(run, stored_graphs)
    if model is not None and execution.started_at is None and not execution.force:
        require_available(execution.workflow, view)
    current = stored_graphs[-1] if stored_graphs else None
    if current is not None and current.state is not GraphState.SUCCEEDED:
        _take_up_graph(turn, restored, current, resuming=execution.status is Status.PENDING)
    return restored


def _workflow(planner: Planner, execution: Execution, view: DeploymentView) -> Workflow:
    try:
        return planner(execution, view)
    except (WorkflowError, DispatcherError):
        raise
    except Exception as error:
        # A planner's defect fails its own execution; raised, it would end every turn and stop all the others.
        words = f"workflow {execution.workflow!r} cannot be planned (a defect): {type(error).__name__}: {error}"
        raise DispatcherError(words) from error


def _deployment(
    connection: Connection, execution: Execution, settings: EngineSettings
) -> tuple[Model | None, str | None]:
    if execution.deployment_id is None:
        return None, None
    config = {
        "task_retries": settings.max_retries,
        "task_retry_interval": settings.retry_interval_seconds,
        "subgraph_retries": settings.subgraph_retries,
        **execution.details.get("config", {}),
    }
    model = Model.load(connection, (execution.tenant, execution.deployment_id), config)
    return model, resources_of(connection, model)


def _place(run: Run, stored: Sequence[StoredGraph]) -> None:
    """Find the stage that the execution had come to, by the names of its graphs."""
    places = {stage.name: place for place, stage in enumerate(run.workflow.stages)}
    for graph in stored:
        run.stage = places.get(graph.name, graph.position)
        if graph.state is GraphState.FAILED and graph is not stored[-1]:
            run.stage_failed = True


def _take_up_graph(turn: Turn, restored: Restored, stored: StoredGraph, *, resuming: bool) -> None:
    run, connection = restored.run, turn.connection
    rows = tasks.of_graph(connection, stored.id)
    run.graph = GraphRun.restored(stored.id, rows, stored.subgraphs)
    run.after = model_changes.restored(stored.after)
    current = {row.position: f"{row.id}.{row.attempt}" for row in rows if row.attempt and row.state not in DONE}
    known = attempts.by_ids(connection, list(current.values()), lock=True)
    by_position = {position: known[each] for position, each in current.items() if each in known}
    remember(turn, run, rows)
    for row in rows:
        attempt = by_position.get(row.position)
        if row.decision is not None and "inputs" in row.decision:
            run.edits[row.position] = dict(row.decision["inputs"])
        if row.state is TaskState.SENDING and attempt is not None:
            _take_up_attempt(restored, row, attempt)
        elif row.state is TaskState.RESCHEDULED:
            restored.retries[row.position] = max((row.not_before or 0.0) - turn.stored_now, 0.0)
        elif resuming and row.state in (TaskState.FAILED, TaskState.CANCELLED):
            _resume_task(turn, run, row, attempt)
        elif row.state is TaskState.FAILED and not run.graph.function_lives and not _hold(run, row.position, attempt):
            run.failures.append(row.error or f"{row.task.id} failed")
            run.failed_at = turn.now
    if resuming:
        graphs.set_state(connection, stored.id, GraphState.RUNNING)


def _hold(run: Run, position: int, attempt: Attempt | None) -> bool:
    """Return whether a failed task's subgraph was to be replaced once nothing of it ran any more, and arrange it again.

    What may have run is for a person to decide about: nothing was to replace that.
    """
    if run.workflow.recover is None or run.model is None or run.cancel is not None:
        return False
    if attempt is not None and attempt.verdict in attempts.UNCERTAIN:
        return False
    limit = int(run.model.config["subgraph_retries"])
    subgraph = run.current.recoverable(position, limit if limit >= 0 else 1_000_000)
    if subgraph is None:
        return False
    run.recovering[subgraph.id] = subgraph
    run.held.update(run.current.members(subgraph.id))
    return True


def _interrupted(run: Run, position: int) -> None:
    """Let the next attempt know that a person resumed what was broken off."""
    before = run.predecessors.get(position)
    if before is not None:
        before.interrupted = True


def _take_up_attempt(restored: Restored, row: StoredTask, attempt: Attempt) -> None:
    run = restored.run
    run.open[attempt.id] = OpenAttempt(
        attempt.id,
        row.position,
        attempt.number,
        attempt.agent_id,
        attempt.token_hash,
        attempt.state,
        attempt.property_sequence,
    )
    if attempt.state is AttemptState.SENDING:
        restored.unsent.append(attempt.id)
    elif attempt.state is AttemptState.ENDED:
        restored.unapplied.append(attempt)


def _resume_task(turn: Turn, run: Run, row: StoredTask, attempt: Attempt | None) -> None:
    """Make a task pending again, as a person decided; the default is to try again."""
    graph, position = run.current, row.position
    kind = DecisionKind((row.decision or {}).get("kind", DecisionKind.RETRY.value))
    if kind is DecisionKind.DONE:
        graph.move(position, TaskState.SUCCEEDED)
    elif kind is DecisionKind.SKIP:
        graph.move(position, TaskState.SKIPPED)
    else:
        graph.reset(position)
        if attempt is not None and is_operation(row.task):
            _interrupted(run, position)
            _prepare_resume(turn, run, row)
    turn.save_task(run, position)


def _prepare_resume(turn: Turn, run: Run, row: StoredTask) -> None:
    """Run what undoes the half of an interrupted operation before the operation itself."""
    if run.workflow.prepare_resume is None or run.model is None:
        return
    first = run.workflow.prepare_resume(row.task, run.model.view())
    if first is None:
        return
    graph, position = run.current, row.position
    names = {task.id for task in graph.tasks}
    added = graph.extend(_renamed(first, names), entry=graph.dependencies[position])
    waited_for = {each for new in added for each in graph.dependencies[new]}
    last = tuple(new for new in added if new not in waited_for)
    graph.wait_for(position, (*graph.dependencies[position], *last))
    tasks.insert(turn.connection, [task_row(run, graph, new) for new in added])
    tasks.set_dependencies(turn.connection, {graph.task_id(position): graph.dependencies[position]})
    graphs.set_subgraphs(turn.connection, graph.id, graph.stored_subgraphs())


def _renamed(graph: TaskGraph, taken: set[str]) -> TaskGraph:
    """Return the graph under names that are free (a task may be resumed more than once)."""
    if taken.isdisjoint(graph.tasks):
        return graph
    number = 2
    while not taken.isdisjoint(f"{name}~{number}" for name in graph.tasks):
        number += 1
    names: Mapping[str, str] = {name: f"{name}~{number}" for name in graph.tasks}
    renamed = {names[name]: replace(task, id=names[name]) for name, task in graph.tasks.items()}
    dependencies = {names[name]: tuple(names[each] for each in waits) for name, waits in graph.dependencies.items()}
    return TaskGraph(tasks=renamed, dependencies=dependencies, subgraphs=graph.subgraphs)
