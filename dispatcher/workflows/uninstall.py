"""`uninstall`: take instances down, each before those that it depends on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

from outrider.dispatcher.workflows.builder import Chain, GraphBuilder
from outrider.dispatcher.workflows.graph import Stage, StagePlan, Subgraph, Task, TaskGraph, TaskKind, Workflow
from outrider.dispatcher.workflows.lifecycle import DELETED, UNINITIALIZED, UNLINK, add_uninstall
from outrider.dispatcher.workflows.ordering import order_chains
from outrider.dispatcher.workflows.recovery import prepare_resume, recover
from outrider.dispatcher.workflows.selection import select
from outrider.dispatcher.workflows.steps import InstanceChain, Options
from outrider.dispatcher.workflows.view import DeploymentView


def plan_uninstall(parameters: Mapping[str, Any], _view: DeploymentView) -> Workflow:
    """Plan the workflow `uninstall`; with `recursive`, the deployments inside this one are uninstalled before."""
    options = Options(ignore_failure=parameters["ignore_failure"])

    def plan(now: DeploymentView) -> StagePlan:
        return StagePlan(graph=uninstall_graph(now, select(now, parameters), options))

    stages = [Stage(name="uninstall", plan=plan)]
    if parameters["recursive"]:
        inside = {"recursive": True, "ignore_failure": parameters["ignore_failure"]}
        stages.insert(0, Stage(name="uninstall-children", plan=lambda _now: _children(inside, options)))
    return Workflow(name="uninstall", stages=tuple(stages), recover=recover, prepare_resume=prepare_resume)


def _children(parameters: Mapping[str, Any], options: Options) -> StagePlan:
    """Plan the uninstallation of the deployments inside; which there are is found out when its time has come."""
    task = Task(
        id="children",
        kind=TaskKind.CHILDREN,
        operation="uninstall",
        kwargs=parameters,
        ignore_failure=options.ignore_failure,
    )
    return StagePlan(graph=TaskGraph(tasks={task.id: task}, dependencies={}))


def uninstall_graph(view: DeploymentView, chosen: Iterable[str], options: Options) -> TaskGraph:
    """Return the graph that uninstalls the chosen instances.

    An instance that is not chosen but exists is unlinked from the chosen ones before they go.
    """
    builder = GraphBuilder()
    wanted = frozenset(chosen)
    chains = {
        each.id: add_uninstall(builder, view, each, options=options)
        for each in view.instances.values()
        if each.id in wanted
    }
    chains.update(add_unlink_of_others(builder, view, chains.keys(), options))
    order_chains(builder, view, chains, reverse=True)
    return builder.build()


def add_unlink_of_others(
    builder: GraphBuilder, view: DeploymentView, chosen: Set[str], options: Options
) -> dict[str, InstanceChain]:
    """Add `unlink` for the existing instances outside of `chosen` that have relationships into it."""
    gone = {UNINITIALIZED, DELETED}
    leaving = {each for each in chosen if view.instances[each].state not in gone}
    found: dict[str, InstanceChain] = {}
    for instance in view.instances.values():
        if instance.id in chosen or instance.state in gone:
            continue
        if any(each.target_instance in leaving for each in instance.relationships):
            name = f"unlink_{instance.id}"
            builder.add_subgraph(Subgraph(id=name, instance=instance.id))
            chain = InstanceChain(Chain(builder, name), view, instance, options)
            chain.append_relationships(UNLINK, wanted=lambda each: each.target_instance in leaving)
            found[instance.id] = chain
    return found
