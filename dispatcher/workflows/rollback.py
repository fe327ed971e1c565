"""`rollback`: bring instances that a failed install left half-way back to the last state that holds."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from outrider.dispatcher.workflows.builder import Chain, GraphBuilder
from outrider.dispatcher.workflows.graph import Stage, StagePlan, Subgraph, TaskGraph, Workflow
from outrider.dispatcher.workflows.lifecycle import UNINITIALIZED, UNINSTALL_STEPS, UNLINK
from outrider.dispatcher.workflows.ordering import order_chains
from outrider.dispatcher.workflows.recovery import prepare_resume, recover
from outrider.dispatcher.workflows.selection import select
from outrider.dispatcher.workflows.steps import InstanceChain, Options, RelationshipStep, Step
from outrider.dispatcher.workflows.uninstall import uninstall_graph
from outrider.dispatcher.workflows.view import DeploymentView

_UNLINK_AT = UNINSTALL_STEPS.index(UNLINK)

#: State → (steps that undo it, state that is reached).
_UNDO: Mapping[str, tuple[tuple[Step | RelationshipStep, ...], str]] = MappingProxyType(
    {
        "creating": (UNINSTALL_STEPS[_UNLINK_AT:], UNINITIALIZED),
        "configuring": (UNINSTALL_STEPS[_UNLINK_AT:], UNINITIALIZED),
        "starting": (UNINSTALL_STEPS[:_UNLINK_AT], "configured"),
    }
)

_OPTIONS = Options(ignore_failure=True)


def plan_rollback(parameters: Mapping[str, Any], _view: DeploymentView) -> Workflow:
    """Plan the workflow `rollback`; with `full_rollback`, everything is uninstalled afterwards."""

    def unresolved(view: DeploymentView) -> StagePlan:
        return StagePlan(graph=rollback_graph(view, select(view, parameters)))

    def everything(view: DeploymentView) -> StagePlan:
        return StagePlan(graph=uninstall_graph(view, view.instances, _OPTIONS))

    stages = [Stage(name="rollback", plan=unresolved)]
    if parameters["full_rollback"]:
        stages.append(Stage(name="uninstall", plan=everything))
    return Workflow(name="rollback", stages=tuple(stages), recover=recover, prepare_resume=prepare_resume)


def rollback_graph(view: DeploymentView, chosen: frozenset[str]) -> TaskGraph:
    """Return the graph that undoes what was interrupted; failures are ignored, as the resource may not be there."""
    builder = GraphBuilder()
    chains: dict[str, InstanceChain] = {}
    for instance in view.instances.values():
        undo = _UNDO.get(instance.state)
        if instance.id not in chosen or undo is None:
            continue
        steps, reached = undo
        name = f"rollback_{instance.id}"
        builder.add_subgraph(Subgraph(id=name, instance=instance.id))
        chain = InstanceChain(Chain(builder, name), view, instance, _OPTIONS)
        for step in steps:
            chain.append(step)
        chain.set_state(reached)
        chains[instance.id] = chain
    order_chains(builder, view, chains, reverse=True)
    return builder.build()
