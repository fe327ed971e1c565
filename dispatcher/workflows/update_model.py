"""What an update makes of the deployment's model: plan, instances and relationships, before, between and after.

Pure; `update` puts the results into stages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from outrider.dispatcher.workflows.graph import ChangeKind, ModelChange, Record
from outrider.dispatcher.workflows.records import instances_of_records, records_of, relationship_changes
from outrider.dispatcher.workflows.scaling import current_counts, scalable_properties, wanted_instances
from outrider.dispatcher.workflows.update_diff import plan_drift
from outrider.dispatcher.workflows.view import DeploymentView, InstanceRelationship, InstanceView

Json = Mapping[str, Any]
#: A relationship of an instance, whatever its place in the plan.
Link = tuple[str, str]


def link(relationship: InstanceRelationship) -> Link:
    """Return what makes two relationships of an instance the same one."""
    return relationship.type, relationship.target_instance


def links(instance: InstanceView) -> frozenset[Link]:
    """Return the relationships of an instance."""
    return frozenset(link(each) for each in instance.relationships)


def wanted_by(view: DeploymentView, plan: Json) -> dict[str, InstanceView]:
    """Return the instances that the deployment has under a plan, as many of the present ones as fit among them."""
    return {each.id: each for each in wanted_instances(view, plan, _kept_counts(view, plan), {})}


def final_plan(view: DeploymentView, plan: Json) -> Json:
    """Return the plan to reach with the numbers that a scale has set."""
    return _with_counts(plan, _kept_counts(view, plan))


def combined_plan(view: DeploymentView, plan: Json) -> Json:
    """Return the plan while old and new stand side by side: the new one, and what only the old one has.

    A node's new relationships come first, so that their places stay when the old ones go.
    """
    wanted = final_plan(view, plan)
    new = {node["id"]: node for node in wanted["nodes"]}
    kept = [_combined_node(node, view.nodes.get(name)) for name, node in new.items()]
    leaving = [node for name, node in view.nodes.items() if name not in new]
    groups = {**view.scaling_groups, **(wanted.get("scaling_groups") or {})}
    return {**wanted, "nodes": [*kept, *leaving], "scaling_groups": groups}


def side_by_side(view: DeploymentView, wanted: Mapping[str, InstanceView], plan: Json) -> dict[str, InstanceView]:
    """Return the present instances under the combined plan: each with the relationships it has and those it gets."""
    together = {}
    for each in view.instances.values():
        new = wanted.get(each.id)
        # What goes with an instance's node keeps the relationships that it has.
        fresh = () if new is None else new.relationships
        taken = {link(one) for one in fresh}
        old = tuple(one for one in each.relationships if link(one) not in taken)
        together[each.id] = replace(each, relationships=fresh + old)
    nodes = {node["id"]: node for node in plan["nodes"]}
    placed = instances_of_records(nodes, records_of(replace(view, instances=together)))
    return {each.id: replace(together[each.id], relationships=each.relationships) for each in placed}


def moved(view: DeploymentView, new: InstanceView, new_node: Json, *, trust_checks: bool) -> Json:
    """Return the change of an instance that stays: relationships that stay, by the new plan, and the drift it has."""
    old = view.instances[new.id]
    present = Counter(link(each) for each in old.relationships)
    stays = []
    for each in new.relationships:
        if present[link(each)] > 0:
            present[link(each)] -= 1
            stays.append(each)
    changed = replace(old, relationships=tuple(stays), scaling_groups=new.scaling_groups)
    return {
        **relationship_changes(changed),
        "system_properties": drifted(view, changed, new_node, trust_checks=trust_checks),
    }


def drifted(view: DeploymentView, changed: InstanceView, new_node: Json, *, trust_checks: bool) -> Json:
    """Return an instance's system properties with the drift that another plan's node means for it."""
    system = dict(changed.system_properties)
    for record, found in plan_drift(view.nodes[changed.node], new_node, trust_checks=trust_checks).items():
        if record == Record.DRIFT.value:
            system[record] = {"ok": True, "result": found}
        else:
            of_targets = {
                each.target_instance: {"ok": True, "result": found[each.target_node]}
                for each in changed.relationships
                if each.target_node in found
            }
            system[record] = {**system.get(record, {}), **of_targets}
    return system


def marked(instance: InstanceView) -> InstanceView:
    """Return an instance with the mark that an update has to bring it to life."""
    return replace(instance, system_properties={**instance.system_properties, Record.UPDATE.value: True})


def unmark(instances: Iterable[str]) -> ModelChange:
    """Return the change that takes the marks away again."""
    payload = {"instances": sorted(instances), "names": [Record.UPDATE.value]}
    return ModelChange(kind=ChangeKind.CLEAR_SYSTEM_PROPERTIES, payload=payload)


def is_marked(instance: InstanceView) -> bool:
    """Tell whether an update has begun to bring an instance to life and has not come to the end of that."""
    return bool(instance.system_properties.get(Record.UPDATE.value))


def _combined_node(new: Json, old: Json | None) -> Json:
    if old is None:
        return new
    known = {(each["type"], each["target_id"]) for each in new.get("relationships") or ()}
    lost = [each for each in old.get("relationships") or () if (each["type"], each["target_id"]) not in known]
    return {**new, "relationships": [*(new.get("relationships") or ()), *lost]}


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
