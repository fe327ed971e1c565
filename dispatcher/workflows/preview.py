"""What a workflow would do, as data: which operation, where, in which order, with which plugin.

For `outrider blueprint plan` (on a blueprint without a deployment, see `records.view_of_plan`) and for dry looks at a
deployment. Later stages are planned on the deployment as the earlier ones would leave it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import Any

from outrider.dispatcher.workflows.brought import is_function
from outrider.dispatcher.workflows.errors import PlanError
from outrider.dispatcher.workflows.graph import (
    ChangeKind,
    ModelChange,
    Side,
    StagePlan,
    Task,
    TaskGraph,
    TaskKind,
    Workflow,
)
from outrider.dispatcher.workflows.topology import is_host
from outrider.dispatcher.workflows.view import DeploymentView, InstanceRelationship, InstanceView

Json = Mapping[str, Any]

CENTRAL = "central_deployment_agent"
HOST_AGENT = "host_agent"
AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedOperation:
    """One operation of a plan."""

    stage: str
    #: Operations of one wave do not wait for each other; a wave waits for (some of) the one before. From 1, per stage.
    wave: int
    task: str
    operation: str
    #: The instance that executes it.
    instance: str
    node: str
    plugin: str
    #: ``module.function`` inside the plugin.
    implementation: str
    executor: str
    #: The host instance whose agent runs it; None: the central agent.
    host: str | None
    side: str | None = None
    #: For a relationship operation: its target instance.
    target: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStage:
    """A stage with the deployment that it was planned on."""

    name: str
    view: DeploymentView
    plan: StagePlan


def planned_stages(workflow: Workflow, view: DeploymentView) -> Iterator[PlannedStage]:
    """Yield the stages of a workflow in which nothing fails."""
    for stage in workflow.stages:
        if stage.on_failure:
            continue
        plan = stage.plan(view)
        before = changed(view, plan.before)
        yield PlannedStage(name=stage.name, view=before, plan=plan)
        view = changed(_states_applied(before, plan.graph), plan.after)


def planned_operations(workflow: Workflow, view: DeploymentView) -> tuple[PlannedOperation, ...]:
    """Return the operations that a workflow would run, in an order in which they could run.

    Raises PlanError for a workflow that a plugin brings: what it runs is decided by its function, as it goes.
    """
    return tuple(
        _describe(planned, task, wave)
        for planned in planned_stages(workflow, view)
        for task, wave in waves(_foreseeable(workflow, planned.plan.graph))
    )


def _foreseeable(workflow: Workflow, graph: TaskGraph) -> TaskGraph:
    if any(is_function(task) for task in graph.tasks.values()):
        raise PlanError(
            f"workflow {workflow.name!r} is a function of a plugin: which operations it runs is decided while it runs"
        )
    return graph


def waves(graph: TaskGraph) -> list[tuple[Task, int]]:
    """Return the operations of a graph with their waves, first wave first."""
    order = TopologicalSorter({each: graph.dependencies.get(each, ()) for each in graph.tasks}).static_order()
    wave: dict[str, int] = {}
    found: list[tuple[Task, int]] = []
    for task_id in order:
        task = graph.tasks[task_id]
        before = max((wave[each] for each in graph.dependencies.get(task_id, ())), default=0)
        wave[task_id] = before + (task.kind is TaskKind.OPERATION)
        if task.kind is TaskKind.OPERATION:
            found.append((task, wave[task_id]))
    found.sort(key=lambda each: each[1])
    return found


def changed(view: DeploymentView, changes: tuple[ModelChange, ...]) -> DeploymentView:
    """Return the deployment as a stage's changes leave it, as far as the plans of later stages look at it."""
    instances = dict(view.instances)
    nodes, groups = view.nodes, view.scaling_groups
    for change in changes:
        if change.kind is ChangeKind.ADD_INSTANCES:
            instances.update({each.id: each for each in change.payload["instances"]})
        elif change.kind is ChangeKind.REMOVE_INSTANCES:
            for instance_id in change.payload["instances"]:
                instances.pop(instance_id, None)
        elif change.kind is ChangeKind.REPLACE_PLAN:
            nodes = {node["id"]: node for node in change.payload["plan"]["nodes"]}
            groups = change.payload["plan"].get("scaling_groups") or {}
        elif change.kind is ChangeKind.UPDATE_INSTANCES:
            for record in change.payload["instances"]:
                if record["id"] in instances:
                    instances[record["id"]] = _updated(instances[record["id"]], record)
        elif change.kind is ChangeKind.CLEAR_SYSTEM_PROPERTIES:
            for instance_id in instances.keys() & change.payload["instances"]:
                instances[instance_id] = _cleared(instances[instance_id], change.payload["names"])
    return replace(view, instances=instances, nodes=nodes, scaling_groups=groups)


def _cleared(instance: InstanceView, names: Collection[str]) -> InstanceView:
    kept = {name: value for name, value in instance.system_properties.items() if name not in names}
    return replace(instance, system_properties=kept)


def _updated(instance: InstanceView, record: Json) -> InstanceView:
    return replace(
        instance,
        system_properties=record.get("system_properties", instance.system_properties),
        relationships=tuple(
            InstanceRelationship(
                target_instance=each["target_id"],
                target_node=each["target_name"],
                type=each["type"],
                index=each["index"],
            )
            for each in record["relationships"]
        ),
    )


def _states_applied(view: DeploymentView, graph: TaskGraph) -> DeploymentView:
    instances = dict(view.instances)
    for task_id in TopologicalSorter({each: graph.dependencies.get(each, ()) for each in graph.tasks}).static_order():
        task = graph.tasks[task_id]
        if task.instance not in instances:
            continue
        if task.state is not None:
            instances[task.instance] = replace(instances[task.instance], state=task.state)
        elif task.kind is TaskKind.FORGET and task.record is not None:
            instances[task.instance] = _cleared(instances[task.instance], (task.record.value,))
    return replace(view, instances=instances)


def _describe(planned: PlannedStage, task: Task, wave: int) -> PlannedOperation:
    view = planned.view
    source = view.instances[task.instance or ""]
    executing = view.instances[task.target] if task.side is Side.TARGET and task.target else source
    record = _record(view, source, task)
    executor = record.get("executor") or _plugin_executor(view, executing, record) or CENTRAL
    return PlannedOperation(
        stage=planned.name,
        wave=wave,
        task=task.id,
        operation=task.operation or "",
        instance=executing.id,
        node=executing.node,
        plugin=str(record.get("plugin") or ""),
        implementation=str(record.get("operation") or ""),
        executor=executor,
        host=_host(view, executing) if executor in {HOST_AGENT, AUTO} else None,
        side=task.side.value if task.side else None,
        target=task.target,
    )


def _record(view: DeploymentView, source: InstanceView, task: Task) -> Json:
    node = view.nodes[source.node]
    owner = node if task.side is None else node["relationships"][task.relationship]
    key = "operations" if task.side is None else f"{task.side.value}_operations"
    record: Json = (owner.get(key) or {}).get(task.operation) or {}
    return record


def _plugin_executor(view: DeploymentView, instance: InstanceView, record: Json) -> str | None:
    for plugin in view.nodes[instance.node].get("plugins") or ():
        if plugin.get("name") == record.get("plugin"):
            return str(plugin["executor"]) if plugin.get("executor") else None
    return None


def _host(view: DeploymentView, instance: InstanceView) -> str | None:
    return instance.host or (instance.id if is_host(view.nodes[instance.node]) else None)
