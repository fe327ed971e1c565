"""`install`: bring instances to life, each after those that it depends on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

from outrider.dispatcher.workflows.builder import Chain, GraphBuilder
from outrider.dispatcher.workflows.graph import Stage, StagePlan, Subgraph, TaskGraph, Workflow
from outrider.dispatcher.workflows.lifecycle import DELETED, ESTABLISH, UNINITIALIZED, add_install
from outrider.dispatcher.workflows.ordering import order_chains
from outrider.dispatcher.workflows.recovery import prepare_resume, recover
from outrider.dispatcher.workflows.selection import select
from outrider.dispatcher.workflows.steps import DEFAULT_OPTIONS, InstanceChain
from outrider.dispatcher.workflows.view import DeploymentView, InstanceView


def plan_install(parameters: Mapping[str, Any], _view: DeploymentView) -> Workflow:
    """Plan the workflow `install`."""

    def plan(view: DeploymentView) -> StagePlan:
        return StagePlan(graph=install_graph(view, select(view, parameters)))

    return Workflow(
        name="install", stages=(Stage(name="install", plan=plan),), recover=recover, prepare_resume=prepare_resume
    )


def install_graph(view: DeploymentView, chosen: Iterable[str]) -> TaskGraph:
    """Return the graph that installs the chosen instances.

    An instance that is not chosen but exists gets its relationships to the chosen ones established, as they are made
    anew.
    """
    builder = GraphBuilder()
    wanted = frozenset(chosen)
    chains = {each.id: add_install(builder, view, each) for each in view.instances.values() if each.id in wanted}
    chains.update(add_establish_of_others(builder, view, chains.keys()))
    order_chains(builder, view, chains)
    return builder.build()


def add_establish_of_others(builder: GraphBuilder, view: DeploymentView, chosen: Set[str]) -> dict[str, InstanceChain]:
    """Add `establish` for the existing instances outside of `chosen` that have relationships into it."""
    # Nothing to establish towards an instance that already runs.
    renewed = {each for each in chosen if view.instances[each].state != "started"}
    found: dict[str, InstanceChain] = {}
    for instance in view.instances.values():
        if instance.id in chosen or not _exists(instance):
            continue
        if any(each.target_instance in renewed for each in instance.relationships):
            name = f"establish_{instance.id}"
            builder.add_subgraph(Subgraph(id=name, instance=instance.id))
            chain = InstanceChain(Chain(builder, name), view, instance, DEFAULT_OPTIONS)
            chain.append_relationships(ESTABLISH, wanted=lambda each: each.target_instance in renewed)
            found[instance.id] = chain
    return found


def _exists(instance: InstanceView) -> bool:
    return instance.state not in {UNINITIALIZED, DELETED}
