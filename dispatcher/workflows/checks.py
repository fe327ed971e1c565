"""`check_status` and `check_drift`: ask every instance how it is, and keep the answers in its system properties."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outrider.dispatcher.workflows.builder import Chain, GraphBuilder
from outrider.dispatcher.workflows.execute_operation import Request, operation_graph, operation_workflow
from outrider.dispatcher.workflows.graph import Record, Side, Stage, StagePlan, Subgraph, TaskGraph, Workflow
from outrider.dispatcher.workflows.ordering import order_chains
from outrider.dispatcher.workflows.selection import select
from outrider.dispatcher.workflows.steps import InstanceChain, Options, RelationshipStep, Step
from outrider.dispatcher.workflows.topology import LIFECYCLE, VALIDATION
from outrider.dispatcher.workflows.view import DeploymentView

CHECK_STATUS = f"{VALIDATION}.check_status"
CHECK_DRIFT = Step(name="check_drift", operation=f"{LIFECYCLE}.check_drift")
CHECK_DRIFT_OF_RELATIONSHIPS = RelationshipStep(name="check_drift")
_DRIFT_RECORDS = {Side.SOURCE: Record.SOURCE_DRIFT, Side.TARGET: Record.TARGET_DRIFT}


def plan_check_status(parameters: Mapping[str, Any], _view: DeploymentView) -> Workflow:
    """Plan the workflow `check_status`. One answer is an answer: failures are not retried."""
    request = Request(
        operation=CHECK_STATUS,
        ordered=parameters["run_by_dependency_order"],
        max_retries=0,
        record=Record.STATUS,
    )
    return operation_workflow("check_status", request, parameters)


def status_graph(view: DeploymentView, chosen: frozenset[str]) -> TaskGraph:
    """Return the graph that asks for the status where failures are what is looked for (`heal`)."""
    request = Request(operation=CHECK_STATUS, ignore_failure=True, max_retries=0, record=Record.STATUS)
    return operation_graph(view, request, chosen)


def plan_check_drift(parameters: Mapping[str, Any], _view: DeploymentView) -> Workflow:
    """Plan the workflow `check_drift`."""

    def plan(view: DeploymentView) -> StagePlan:
        chosen = select(view, parameters)
        return StagePlan(graph=drift_graph(view, chosen, ordered=parameters["run_by_dependency_order"]))

    return Workflow(name="check_drift", stages=(Stage(name="check_drift", plan=plan),))


def drift_graph(
    view: DeploymentView, chosen: frozenset[str], *, ordered: bool, ignore_failure: bool = False
) -> TaskGraph:
    """Return the graph that asks the chosen instances, then their relationships on both sides, for drift."""
    builder = GraphBuilder()
    chains: dict[str, InstanceChain] = {}
    for instance in view.instances.values():
        if instance.id in chosen:
            chain = InstanceChain(Chain(builder, instance.id), view, instance, Options(ignore_failure=ignore_failure))
            if chain.applies(CHECK_DRIFT):
                chain.append_operation(CHECK_DRIFT, record=Record.DRIFT)
            chain.append_relationships(CHECK_DRIFT_OF_RELATIONSHIPS, records=_DRIFT_RECORDS)
            if chain.chain.first:
                builder.add_subgraph(Subgraph(id=instance.id, instance=instance.id))
                chains[instance.id] = chain
    if ordered:
        order_chains(builder, view, chains)
    return builder.build()
