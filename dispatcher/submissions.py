"""What a workflow function submits, read: JSON → tasks under the graph's own name, ready to be added behind it.

Called by `function_requests`. A submission is either a list of tasks, or the name of one of our planners and the
instances that it is for; so a plugin's ``install`` of some instances takes the same steps as the workflow `install`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from graphlib import CycleError, TopologicalSorter
from typing import Any

from outrider.dispatcher.errors import DispatcherError
from outrider.dispatcher.workflows.builder import Chain, GraphBuilder
from outrider.dispatcher.workflows.execute_operation import Request, operation_graph
from outrider.dispatcher.workflows.graph import Side, Subgraph, Task, TaskGraph, TaskKind
from outrider.dispatcher.workflows.install import install_graph
from outrider.dispatcher.workflows.lifecycle import ESTABLISH, UNLINK, add_reinstall
from outrider.dispatcher.workflows.rollback import rollback_graph
from outrider.dispatcher.workflows.selection import select
from outrider.dispatcher.workflows.steps import DEFAULT_OPTIONS, InstanceChain, Options, RelationshipStep
from outrider.dispatcher.workflows.uninstall import uninstall_graph
from outrider.dispatcher.workflows.view import DeploymentView, InstanceRelationship

Json = Mapping[str, Any]


class SubmissionRefused(DispatcherError):
    """A workflow function asked for something that cannot be done; the text names the graph and the task."""


#: Fields of a task that a function may give besides its id, kind and side.
_FIELDS = frozenset(
    {"instance", "operation", "target", "relationship", "kwargs", "allow_override", "state", "message", "subgraph"}
    | {"ignore_failure", "handled", "max_retries", "retry_interval_seconds", "timeout_seconds"}
)


def submitted_graph(name: str, submission: Json, view: DeploymentView) -> TaskGraph:
    """Return the graph under its name; raises `SubmissionRefused`, `WorkflowError`."""
    listed = submission.get("planner") is None
    return _below(name, _listed(name, submission, view) if listed else _planned(name, submission, view))


def _planned(name: str, submission: Json, view: DeploymentView) -> TaskGraph:
    planner, parameters = submission["planner"], submission.get("parameters") or {}
    if planner not in _PLANNERS:
        raise SubmissionRefused(f"graph {name!r}: there is no planner {planner!r}; there are {', '.join(_PLANNERS)}")
    unknown = [each for each in parameters.get("instances") or () if each not in view.instances]
    if unknown:
        raise SubmissionRefused(f"graph {name!r}: {planner} is about {unknown[0]!r}, which does not exist")
    return _PLANNERS[planner](view, parameters)


def _install(view: DeploymentView, parameters: Json) -> TaskGraph:
    return install_graph(view, parameters["instances"])


def _uninstall(view: DeploymentView, parameters: Json) -> TaskGraph:
    options = Options(ignore_failure=bool(parameters.get("ignore_failure")))
    return uninstall_graph(view, parameters["instances"], options)


def _reinstall(view: DeploymentView, parameters: Json) -> TaskGraph:
    """Return one subgraph for each instance, in which it goes down and comes up; it fails as one."""
    options = Options(ignore_failure=bool(parameters.get("ignore_failure")))
    builder = GraphBuilder()
    for instance_id in parameters["instances"]:
        instance = view.instances[instance_id]
        outer = f"reinstall_{instance.id}"
        builder.add_subgraph(Subgraph(id=outer, instance=instance.id))
        add_reinstall(builder, view, instance, outer=outer, options=options)
    return builder.build()


def _rollback(view: DeploymentView, parameters: Json) -> TaskGraph:
    return rollback_graph(view, frozenset(parameters["instances"]))


def _relationship_operations(step: RelationshipStep) -> Callable[[DeploymentView, Json], TaskGraph]:
    """Return a planner of one relationship operation; ``modified`` names the target nodes by source node."""

    def plan(view: DeploymentView, parameters: Json) -> TaskGraph:
        modified: Json | None = parameters.get("modified")
        builder = GraphBuilder()
        for instance_id in parameters["instances"]:
            instance = view.instances[instance_id]
            name = f"{step.name}_{instance.id}"
            targets = None if modified is None else frozenset(modified.get(instance.node) or ())
            builder.add_subgraph(Subgraph(id=name, instance=instance.id))
            chain = InstanceChain(Chain(builder, name), view, instance, DEFAULT_OPTIONS)
            chain.append_relationships(step, wanted=partial(_leads_to, targets))
        return builder.build()

    return plan


def _leads_to(targets: frozenset[str] | None, relationship: InstanceRelationship) -> bool:
    return targets is None or relationship.target_node in targets


def _execute_operation(view: DeploymentView, parameters: Json) -> TaskGraph:
    request = Request(
        operation=parameters["operation"],
        kwargs=parameters.get("operation_kwargs") or {},
        allow_override=parameters.get("allow_kwargs_override"),
        ordered=bool(parameters.get("run_by_dependency_order")),
    )
    filters = {name: parameters.get(name) or [] for name in ("type_names", "node_ids", "node_instance_ids")}
    return operation_graph(view, request, select(view, filters))


_PLANNERS: Mapping[str, Callable[[DeploymentView, Json], TaskGraph]] = {
    "install": _install,
    "uninstall": _uninstall,
    "reinstall": _reinstall,
    "rollback": _rollback,
    "establish": _relationship_operations(ESTABLISH),
    "unlink": _relationship_operations(UNLINK),
    "execute_operation": _execute_operation,
}


def _listed(name: str, submission: Json, view: DeploymentView) -> TaskGraph:
    tasks = {each.id: each for each in (_task(name, fields, view) for fields in submission.get("tasks") or ())}
    dependencies = {str(id_): tuple(waits) for id_, waits in (submission.get("dependencies") or {}).items()}
    subgraphs = {id_: Subgraph(id=id_, parent=parent) for id_, parent in (submission.get("subgraphs") or {}).items()}
    for id_, planned in (submission.get("planned") or {}).items():
        _expand(name, id_, planned, view, tasks, dependencies, subgraphs)
    unknown = {each for id_, waits in dependencies.items() for each in (id_, *waits)} - tasks.keys()
    if unknown:
        raise SubmissionRefused(f"graph {name!r}: dependencies name tasks that are not in it: {sorted(unknown)[:5]}")
    try:
        TopologicalSorter(dependencies).prepare()
    except CycleError as error:
        raise SubmissionRefused(f"graph {name!r}: tasks wait for each other: {' → '.join(error.args[1])}") from error
    return TaskGraph(tasks=tasks, dependencies=dependencies, subgraphs=subgraphs)


def _expand(
    name: str,
    subgraph: str,
    planned: Json,
    view: DeploymentView,
    tasks: dict[str, Task],
    dependencies: dict[str, tuple[str, ...]],
    subgraphs: dict[str, Subgraph],
) -> None:
    """Fill a subgraph that a function left to one of our planners, between the tasks that begin and end it."""
    graph = _below(subgraph, _planned(name, planned, view))
    begin, end = f"{subgraph}.begin", f"{subgraph}.end"
    waited_for = {each for waits in graph.dependencies.values() for each in waits}
    tasks.update(graph.tasks)
    subgraphs.update({id_: each for id_, each in graph.subgraphs.items() if id_ != subgraph})
    dependencies.update(graph.dependencies)
    for id_ in graph.tasks:
        if not dependencies.get(id_):
            dependencies[id_] = (begin,)
    last = [id_ for id_ in graph.tasks if id_ not in waited_for]
    dependencies[end] = (*dependencies.get(end, ()), *last)


def _task(name: str, fields: Json, view: DeploymentView) -> Task:
    given = {key: value for key, value in fields.items() if key in _FIELDS}
    try:
        side = None if fields.get("side") is None else Side(fields["side"])
        task = Task(id=str(fields["id"]), kind=TaskKind(fields["kind"]), side=side, **given)
    except (KeyError, ValueError) as error:
        raise SubmissionRefused(f"graph {name!r}: {fields!r} is not a task: {error}") from error
    for instance in (task.instance, task.target):
        if instance is not None and instance not in view.instances:
            raise SubmissionRefused(f"graph {name!r}: task {task.id!r} is about {instance!r}, which does not exist")
    if task.kind is TaskKind.OPERATION and (task.instance is None or task.operation is None):
        raise SubmissionRefused(f"graph {name!r}: task {task.id!r} names no instance and operation")
    return task


def _below(name: str, graph: TaskGraph) -> TaskGraph:
    """Return the graph with all its ids below the name, in a subgraph of that name."""

    def inside(id_: str | None) -> str:
        return name if id_ is None else f"{name}/{id_}"

    subgraphs = {name: Subgraph(id=name)}
    for each in graph.subgraphs.values():
        subgraphs[inside(each.id)] = replace(each, id=inside(each.id), parent=inside(each.parent))
    tasks = {
        inside(each.id): replace(each, id=inside(each.id), subgraph=inside(each.subgraph))
        for each in graph.tasks.values()
    }
    dependencies = {inside(id_): tuple(inside(each) for each in waits) for id_, waits in graph.dependencies.items()}
    return TaskGraph(tasks=tasks, dependencies=dependencies, subgraphs=subgraphs)
