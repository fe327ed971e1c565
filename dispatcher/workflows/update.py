"""`update`: move a deployment to another plan (another blueprint, other inputs).

The parameter `plan` is the deployment plan to reach, as `dispatcher.blueprint` prepared it; whoever starts the update
puts it there, so that a resumed execution has the same one. Each stage compares the deployment as it is with that plan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from outrider.dispatcher.workflows.builder import Chain, GraphBuilder
from outrider.dispatcher.workflows.checks import drift_graph
from outrider.dispatcher.workflows.errors import PlanError
from outrider.dispatcher.workflows.graph import (
    ChangeKind,
    ModelChange,
    Record,
    Stage,
    StagePlan,
    Subgraph,
    TaskGraph,
    Workflow,
)
from outrider.dispatcher.workflows.lifecycle import DELETED, ESTABLISH, STARTED, UNLINK, add_install, add_uninstall
from outrider.dispatcher.workflows.ordering import order_chains
from outrider.dispatcher.workflows.records import relationship_changes
from outrider.dispatcher.workflows.recovery import prepare_resume, recover
from outrider.dispatcher.workflows.reinstall import reinstall_stages
from outrider.dispatcher.workflows.scaling import (
    Difference,
    compare,
    current_counts,
    plan_of,
    scalable_properties,
    wanted_instances,
)
from outrider.dispatcher.workflows.steps import InstanceChain, Options, RelationshipStep
from outrider.dispatcher.workflows.topology import contained_subgraph
from outrider.dispatcher.workflows.update_diff import plan_drift
from outrider.dispatcher.workflows.update_operations import OWN_DRIFT, update_operations_plan
from outrider.dispatcher.workflows.view import DeploymentView, InstanceRelationship, InstanceView

Json = Mapping[str, Any]
Links = Mapping[str, frozenset[tuple[str, str]]]


def plan_update(parameters: Json, _view: DeploymentView) -> Workflow:
    """Plan the workflow `update`. Raises PlanError for a combination that is not offered."""
    if parameters["install_first"]:
        raise PlanError("install_first is not offered: an update uninstalls what goes before it installs what comes")
    if parameters["preview"]:
        nothing = TaskGraph(tasks={}, dependencies={})
        return Workflow(name="update", stages=(Stage(name="preview", plan=lambda _now: StagePlan(graph=nothing)),))
    options = Options(ignore_failure=parameters["ignore_failure"])
    stages = [Stage(name="update-uninstall", plan=lambda now: _leave(now, parameters, options))]
    if not parameters["skip_drift_check"]:
        stages.append(Stage(name="update-check-drift", plan=_check_drift))
    if not parameters["force_reinstall"]:
        stages.append(Stage(name="update-operations", plan=update_operations_plan))
    if not parameters["skip_reinstall"]:
        stages.extend(_reinstall(parameters, options))
    stages.append(Stage(name="update-install", plan=lambda now: _arrive(now, parameters)))
    return Workflow(name="update", stages=tuple(stages), recover=recover, prepare_resume=prepare_resume)


def _leave(view: DeploymentView, parameters: Json, options: Options) -> StagePlan:
    """Plan the end of what the new plan does not have, and then the new plan itself."""
    plan = parameters["plan"]
    counts = _kept_counts(view, plan)
    wanted = {each.id: each for each in wanted_instances(view, plan, counts, {})}
    change = compare(view, wanted.values())
    reduced = {each.id: _links(each) - _links(wanted[each.id]) for each in view.instances.values() if each.id in wanted}
    nodes = {node["id"]: node for node in plan["nodes"]}
    trust = not parameters["skip_drift_check"]
    kept = [
        _moved(view, each, nodes[each.node], trust_checks=trust)
        for each in wanted.values()
        if each.id in view.instances
    ]
    return StagePlan(
        graph=TaskGraph(tasks={}, dependencies={})
        if parameters["skip_uninstall"]
        else _leaving_graph(view, change, reduced, options),
        after=(
            ModelChange(kind=ChangeKind.REMOVE_INSTANCES, payload={"instances": [each.id for each in change.removed]}),
            ModelChange(
                kind=ChangeKind.REPLACE_PLAN,
                payload={"plan": _with_counts(plan, counts), "blueprint_id": parameters["blueprint_id"]},
            ),
            ModelChange(kind=ChangeKind.UPDATE_INSTANCES, payload={"instances": kept}),
        ),
    )


def _leaving_graph(view: DeploymentView, change: Difference, reduced: Links, options: Options) -> TaskGraph:
    builder = GraphBuilder()
    chains = {each.id: add_uninstall(builder, view, each, options=options) for each in change.removed}
    for instance_id, links in reduced.items():
        instance = view.instances[instance_id]
        if links and instance.state == STARTED:
            chains[instance_id] = _relationship_chain(builder, view, instance, UNLINK, links, options)
    order_chains(builder, view, chains, reverse=True)
    return builder.build()


def _relationship_chain(
    builder: GraphBuilder,
    view: DeploymentView,
    instance: InstanceView,
    step: RelationshipStep,
    links: frozenset[tuple[str, str]],
    options: Options,
) -> InstanceChain:
    name = f"{step.name}_{instance.id}"
    builder.add_subgraph(Subgraph(id=name, instance=instance.id))
    chain = InstanceChain(Chain(builder, name), view, instance, options)
    chain.append_relationships(step, wanted=lambda each: _link(each) in links)
    return chain


def _moved(view: DeploymentView, new: InstanceView, new_node: Json, *, trust_checks: bool) -> Json:
    """Return the change of an instance that stays: relationships that stay, by the new plan, and the drift it has."""
    old = view.instances[new.id]
    present = Counter(_link(each) for each in old.relationships)
    stays = []
    for each in new.relationships:
        if present[_link(each)] > 0:
            present[_link(each)] -= 1
            stays.append(each)
    moved = replace(old, relationships=tuple(stays))
    system = dict(old.system_properties)
    drift = plan_drift(view.nodes[old.node], new_node, trust_checks=trust_checks)
    for record, found in drift.items():
        if record == Record.DRIFT.value:
            system[record] = {"ok": True, "result": found}
        else:
            of_targets = {
                each.target_instance: {"ok": True, "result": found[each.target_node]}
                for each in stays
                if each.target_node in found
            }
            system[record] = {**system.get(record, {}), **of_targets}
    return {**relationship_changes(moved), "system_properties": system}


def _check_drift(view: DeploymentView) -> StagePlan:
    return StagePlan(graph=drift_graph(view, _started(view), ordered=True, ignore_failure=True))


def _reinstall(parameters: Json, options: Options) -> tuple[Stage, Stage]:
    def down(view: DeploymentView) -> frozenset[str]:
        asked = set(parameters["reinstall_list"])
        drifted = {each for each in _started(view) if OWN_DRIFT.found_in(view.instances[each])}
        return contained_subgraph(view, (drifted | asked) & view.instances.keys())

    def up(view: DeploymentView) -> frozenset[str]:
        return frozenset(each.id for each in view.instances.values() if each.state == DELETED)

    first, second = reinstall_stages(down, up, options)
    return replace(first, name="update-reinstall-uninstall"), replace(second, name="update-reinstall-install")


def _arrive(view: DeploymentView, parameters: Json) -> StagePlan:
    """Plan the beginning of what the present plan has and the deployment does not."""
    change = compare(view, wanted_instances(view, plan_of(view), current_counts(view), {}))
    future = change.applied_to(view)
    builder = GraphBuilder()
    chains: dict[str, InstanceChain] = {}
    if not parameters["skip_install"]:
        chains = {each.id: add_install(builder, future, each) for each in change.added}
        for each in change.relinked:
            links = _links(each) - _links(view.instances[each.id])
            if links and each.state == STARTED:
                chains[each.id] = _relationship_chain(builder, future, each, ESTABLISH, links, Options())
        order_chains(builder, future, chains)
    return StagePlan(
        graph=builder.build(),
        before=(
            ModelChange(kind=ChangeKind.ADD_INSTANCES, payload={"instances": list(change.added)}),
            ModelChange(
                kind=ChangeKind.UPDATE_INSTANCES,
                payload={"instances": [relationship_changes(each) for each in change.relinked]},
            ),
        ),
    )


def _kept_counts(view: DeploymentView, plan: Json) -> dict[str, int]:
    """Return the numbers that a scale has set, for what the new plan still has; others follow the new plan."""
    names = {node["id"] for node in plan["nodes"]} | set(plan.get("scaling_groups") or {})
    defaults = {name: scalable_properties(node).get("default_instances") for name, node in view.nodes.items()}
    for name, group in view.scaling_groups.items():
        defaults[name] = (group.get("properties") or {}).get("default_instances")
    counts = current_counts(view)
    return {name: count for name, count in counts.items() if name in names and count != defaults.get(name)}


def _with_counts(plan: Json, counts: Mapping[str, int]) -> Json:
    """Return a plan with these numbers of instances."""
    groups = plan.get("scaling_groups") or {}
    return {
        **plan,
        "nodes": [_node_with_count(node, counts.get(node["id"])) for node in plan["nodes"]],
        "scaling_groups": {
            name: {**group, "properties": _properties_with_count(group.get("properties") or {}, counts.get(name))}
            for name, group in groups.items()
        },
    }


def _node_with_count(node: Json, count: int | None) -> Json:
    properties = _properties_with_count(scalable_properties(node), count)
    return {**node, "capabilities": {**(node.get("capabilities") or {}), "scalable": {"properties": properties}}}


def _properties_with_count(properties: Json, count: int | None) -> Json:
    return properties if count is None else {**properties, "current_instances": count, "planned_instances": count}


def _started(view: DeploymentView) -> frozenset[str]:
    return frozenset(each.id for each in view.instances.values() if each.state == STARTED)


def _link(relationship: InstanceRelationship) -> tuple[str, str]:
    return relationship.type, relationship.target_instance


def _links(instance: InstanceView) -> frozenset[tuple[str, str]]:
    return frozenset(_link(each) for each in instance.relationships)
