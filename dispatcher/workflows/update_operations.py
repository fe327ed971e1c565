"""The stage of an update that runs the update operations of what has drifted; `update` places it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from outrider.dispatcher.workflows.builder import Chain, GraphBuilder
from outrider.dispatcher.workflows.graph import Record, Side, StagePlan, Subgraph
from outrider.dispatcher.workflows.ordering import order_chains
from outrider.dispatcher.workflows.steps import DEFAULT_OPTIONS, InstanceChain, RelationshipStep, Step
from outrider.dispatcher.workflows.topology import LIFECYCLE, relationship_implements, relationship_record
from outrider.dispatcher.workflows.view import DeploymentView, InstanceRelationship, InstanceView

_STEPS = tuple(
    Step(name=name, operation=f"{LIFECYCLE}.{name}")
    for name in ("preupdate", "update", "postupdate", "update_config", "update_apply", "update_postapply")
)
_RELATIONSHIP_STEP = RelationshipStep(name="update")


@dataclass(frozen=True, slots=True)
class Drift:
    """One of an instance's records of drift."""

    record: Record

    def found_in(self, instance: InstanceView, target: str | None = None) -> bool:
        """Tell whether the record says that something drifted; for a relationship's, towards `target`."""
        outcome = instance.system_properties.get(self.record.value)
        if target is not None and isinstance(outcome, Mapping):
            outcome = outcome.get(target)
        # A check that failed did not find that all is well, but it did not find drift either.
        return isinstance(outcome, Mapping) and bool(outcome.get("result"))

    def towards_target(self, instance: InstanceView) -> Callable[[InstanceRelationship], bool]:
        """Return the test whether one of the instance's relationships drifted."""
        return lambda relationship: self.found_in(instance, relationship.target_instance)


OWN_DRIFT = Drift(Record.DRIFT)
_SIDES = {Side.SOURCE: Drift(Record.SOURCE_DRIFT), Side.TARGET: Drift(Record.TARGET_DRIFT)}


def has_drifted(view: DeploymentView, instance: InstanceView) -> bool:
    """Tell whether an instance has drift that update operations would have cleared, had they been there or succeeded.

    A relationship without an operation `update` has nothing that could be done about its drift.
    """
    return OWN_DRIFT.found_in(instance) or any(
        drift.found_in(instance, each.target_instance)
        and relationship_implements(relationship_record(view, instance, each), side, _RELATIONSHIP_STEP.operation)
        for side, drift in _SIDES.items()
        for each in instance.relationships
    )


def update_operations_plan(view: DeploymentView, chosen: Collection[str], *, recovery: str | None) -> StagePlan:
    """Return the plan: operations of the drifted ones among the chosen instances, and of their relationships.

    The success of all of an instance's operations clears its drift. `recovery` is that of its subgraph.
    """
    builder = GraphBuilder()
    chains: dict[str, InstanceChain] = {}
    for instance in view.instances.values():
        if instance.id not in chosen:
            continue
        chain = InstanceChain(Chain(builder, f"update_{instance.id}"), view, instance, DEFAULT_OPTIONS)
        records = _append(chain, instance)
        if chain.chain.first:
            chain.forget(records)
            subgraph = Subgraph(id=chain.chain.name, instance=instance.id, recovery=recovery)
            builder.add_subgraph(subgraph)
            chains[instance.id] = chain
    order_chains(builder, view, chains)
    return StagePlan(graph=builder.build())


def _append(chain: InstanceChain, instance: InstanceView) -> list[Record]:
    """Append what an instance has to run; returns the records that this clears."""
    found = []
    if OWN_DRIFT.found_in(instance):
        for step in _STEPS:
            chain.append(step)
        if chain.chain.first:
            found.append(OWN_DRIFT.record)
    for side, drift in _SIDES.items():
        before = chain.chain.last
        chain.append_relationships(
            _RELATIONSHIP_STEP,
            wanted=drift.towards_target(instance),
            sides=(side,),
        )
        if chain.chain.last != before:
            found.append(drift.record)
    return found
