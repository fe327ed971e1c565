"""`execute_operation` and its short forms `start`, `stop`, `restart`, `pull`: one operation on many instances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from outrider.dispatcher.workflows.builder import Chain, GraphBuilder
from outrider.dispatcher.workflows.graph import Record, Stage, StagePlan, Subgraph, Task, TaskGraph, TaskKind, Workflow
from outrider.dispatcher.workflows.ordering import order_chains
from outrider.dispatcher.workflows.selection import select
from outrider.dispatcher.workflows.steps import DEFAULT_OPTIONS, InstanceChain
from outrider.dispatcher.workflows.topology import LIFECYCLE, node_implements
from outrider.dispatcher.workflows.view import DeploymentView

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One operation, and how to run it."""

    operation: str
    kwargs: Json = field(default_factory=dict)
    allow_override: bool | None = None
    ordered: bool = False
    #: Dependents first instead of last.
    reverse: bool = False
    ignore_failure: bool = False
    max_retries: int | None = None
    record: Record | None = None


def plan_execute_operation(parameters: Json, _view: DeploymentView) -> Workflow:
    """Plan the workflow `execute_operation`."""
    request = Request(
        operation=parameters["operation"],
        kwargs=parameters["operation_kwargs"],
        allow_override=parameters["allow_kwargs_override"],
        ordered=parameters["run_by_dependency_order"],
    )
    return operation_workflow("execute_operation", request, parameters)


def plan_start(parameters: Json, _view: DeploymentView) -> Workflow:
    """Plan the workflow `start`."""
    return operation_workflow("start", _short_form("start", parameters, "operation_parms"), parameters)


def plan_stop(parameters: Json, _view: DeploymentView) -> Workflow:
    """Plan the workflow `stop`: what depends on something is stopped before it."""
    return operation_workflow("stop", _short_form("stop", parameters, "operation_parms"), parameters)


def plan_restart(parameters: Json, _view: DeploymentView) -> Workflow:
    """Plan the workflow `restart`: everything is stopped before anything is started again."""
    return Workflow(
        name="restart",
        stages=(
            operation_stage("stop", _short_form("stop", parameters, "stop_parms"), parameters),
            operation_stage("start", _short_form("start", parameters, "start_parms"), parameters),
        ),
    )


def plan_pull(parameters: Json, _view: DeploymentView) -> Workflow:
    """Plan the workflow `pull`: read the real state of resources into runtime properties."""
    return operation_workflow("pull", _short_form("pull", parameters, "operation_parms"), parameters)


def _short_form(name: str, parameters: Json, kwargs: str) -> Request:
    return Request(
        operation=f"{LIFECYCLE}.{name}",
        kwargs=parameters[kwargs],
        allow_override=True,
        ordered=parameters["run_by_dependency_order"],
        reverse=name == "stop",
    )


def operation_workflow(name: str, request: Request, parameters: Json) -> Workflow:
    """Return a workflow of one stage that runs one operation on the selected instances."""
    return Workflow(name=name, stages=(operation_stage(name, request, parameters),))


def operation_stage(name: str, request: Request, parameters: Json) -> Stage:
    """Return the stage that runs one operation on the selected instances."""

    def plan(view: DeploymentView) -> StagePlan:
        return StagePlan(graph=operation_graph(view, request, select(view, parameters)))

    return Stage(name=name, plan=plan)


def operation_graph(view: DeploymentView, request: Request, chosen: frozenset[str]) -> TaskGraph:
    """Return the graph that runs one operation on those of the chosen instances that implement it."""
    builder = GraphBuilder()
    chains: dict[str, InstanceChain] = {}
    for instance in view.instances.values():
        if instance.id in chosen and node_implements(view.nodes[instance.node], request.operation):
            chain = Chain(builder, instance.id)
            builder.add_subgraph(Subgraph(id=instance.id, instance=instance.id))
            for task in _tasks(request, instance.id):
                chain.step((task,))
            chains[instance.id] = InstanceChain(chain, view, instance, DEFAULT_OPTIONS)
    if request.ordered:
        order_chains(builder, view, chains, reverse=request.reverse)
    return builder.build()


def _tasks(request: Request, instance: str) -> tuple[Task, Task, Task]:
    short = request.operation.rpartition(".")[2]
    return (
        _event(instance, "begin", f"Running {request.operation}"),
        Task(
            id=f"{instance}.{short}",
            kind=TaskKind.OPERATION,
            instance=instance,
            operation=request.operation,
            kwargs=request.kwargs or None,
            allow_override=request.allow_override,
            subgraph=instance,
            ignore_failure=request.ignore_failure,
            max_retries=request.max_retries,
            record=request.record,
        ),
        _event(instance, "end", f"Finished {request.operation}"),
    )


def _event(instance: str, name: str, message: str) -> Task:
    return Task(
        id=f"{instance}.event_{name}", kind=TaskKind.EVENT, instance=instance, message=message, subgraph=instance
    )
