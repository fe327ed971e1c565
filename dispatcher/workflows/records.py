"""Between the plan's records of node instances (the reference's shape) and the planners' values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from outrider.dispatcher.workflows.view import DeploymentView, InstanceRelationship, InstanceView

Json = Mapping[str, Any]


def view_of_plan(plan: Json, *, deployment: str = "deployment") -> DeploymentView:
    """Return a deployment plan as a deployment in which nothing has happened yet."""
    nodes = {node["id"]: node for node in plan["nodes"]}
    return DeploymentView(
        id=deployment,
        nodes=nodes,
        instances={each.id: each for each in instances_of_records(nodes, plan.get("node_instances") or ())},
        scaling_groups=plan.get("scaling_groups") or {},
        plan=plan,
    )


def instances_of_records(nodes: Mapping[str, Json], records: Iterable[Json]) -> list[InstanceView]:
    """Return instances for entries of ``node_instances``."""
    return [_instance(nodes, record) for record in records]


def records_of(view: DeploymentView) -> list[dict[str, Any]]:
    """Return the instances of a deployment as entries of ``node_instances``."""
    return [_record(instance) for instance in view.instances.values()]


def relationship_changes(instance: InstanceView) -> Json:
    """Return what an UPDATE_INSTANCES change needs to replace an instance's relationships and nothing that moves."""
    return {**_record(instance), "relationships": [_link(each, with_index=True) for each in instance.relationships]}


def _instance(nodes: Mapping[str, Json], record: Json) -> InstanceView:
    name = record.get("node_id") or record["name"]
    return InstanceView(
        id=record["id"],
        node=name,
        host=record.get("host_id"),
        index=record.get("index") or 1,
        relationships=_relationships(nodes[name], record.get("relationships") or ()),
        scaling_groups=tuple(record.get("scaling_groups") or ()),
    )


def _relationships(node: Json, links: Iterable[Json]) -> tuple[InstanceRelationship, ...]:
    """Return the links with the places of the node's relationships that they come from.

    A link only says type and target node. Where a node has several such relationships, the n-th link to one instance
    belongs to the n-th of them.
    """
    places: dict[tuple[str, str], list[int]] = {}
    for index, each in enumerate(node.get("relationships") or ()):
        places.setdefault((each["type"], each["target_id"]), []).append(index)
    seen: dict[tuple[str, str, str], int] = {}
    found = []
    for link in links:
        kind = (link["type"], link["target_name"])
        known = places.get(kind)
        if known is None:
            continue  # an update removed the relationship from the node
        key = (*kind, link["target_id"])
        number = seen[key] = seen.get(key, -1) + 1
        found.append(
            InstanceRelationship(
                target_instance=link["target_id"],
                target_node=link["target_name"],
                type=link["type"],
                index=known[min(number, len(known) - 1)],
            )
        )
    return tuple(found)


def _record(instance: InstanceView) -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": instance.id,
        "name": instance.node,
        "node_id": instance.node,
        "index": instance.index,
        "relationships": [_link(each) for each in instance.relationships],
    }
    if instance.host is not None:
        record["host_id"] = instance.host
    if instance.scaling_groups:
        record["scaling_groups"] = list(instance.scaling_groups)
    return record


def _link(relationship: InstanceRelationship, *, with_index: bool = False) -> dict[str, Any]:
    link: dict[str, Any] = {
        "type": relationship.type,
        "target_name": relationship.target_node,
        "target_id": relationship.target_instance,
    }
    return {**link, "index": relationship.index} if with_index else link
