"""Changes of a deployment's nodes and instances that come over the API, checked before an engine plans with them.

A running execution notices: each change raises the deployment's model version. `routes.nodes` calls it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outrider.dispatcher.errors import AlreadyExists, NotFound
from outrider.dispatcher.store import deployments, instances
from outrider.dispatcher.store.instances import Key
from outrider.dispatcher.store.schema import NODE_INSTANCES
from outrider.dispatcher.workflows.view import InstanceRelationship, InstanceView
from outrider.manager_stub.errors import BadRequest
from outrider.manager_stub.wire import checked_id

Json = Mapping[str, Any]

#: What planners read of a node, and what it is where the sender left it out.
_NODE = {"properties": dict, "operations": dict, "capabilities": dict, "relationships": list, "plugins": list}
_INSTANCE = {"runtime_properties": dict, "system_properties": dict, "scaling_groups": list, "relationships": list}


def add_nodes(connection: Connection, key: Key, sent: Sequence[Json]) -> None:
    """Store new nodes behind those that are there. Raises BadRequest, AlreadyExists."""
    known = dict(deployments.nodes_of(connection, key))
    for record in sent:
        node = _node(record)
        if node["id"] in known:
            raise AlreadyExists("node", node["id"])
        known[node["id"]] = node
    deployments.replace_nodes(connection, key, list(known.values()))


def change_node(connection: Connection, key: Key, node_id: str, values: Json) -> None:
    """Give a node's record other values. Raises NotFound, BadRequest."""
    known = dict(deployments.nodes_of(connection, key))
    if node_id not in known:
        raise NotFound("node", node_id)
    known[node_id] = _node({**known[node_id], **values})
    deployments.replace_nodes(connection, key, list(known.values()))


def delete_node(connection: Connection, key: Key, node_id: str) -> None:
    """Delete a node. Raises NotFound, and BadRequest while it has instances."""
    known = dict(deployments.nodes_of(connection, key))
    if known.pop(node_id, None) is None:
        raise NotFound("node", node_id)
    table = NODE_INSTANCES.c
    query = sa.select(table.id).where(table.tenant == key[0], table.deployment_id == key[1], table.node_id == node_id)
    left = list(connection.execute(query.order_by(table.id).limit(5)).scalars())
    if left:
        text = f"node {node_id!r} still has instances ({', '.join(left)}): delete them first"
        raise BadRequest(text, code="dependent_exists_error")
    deployments.replace_nodes(connection, key, list(known.values()))


def add_instances(connection: Connection, key: Key, sent: Sequence[Json]) -> list[str]:
    """Store new instances and return their ids. Raises BadRequest, AlreadyExists."""
    nodes = deployments.nodes_of(connection, key)
    known = instances.of_deployment(connection, key)
    taken = Counter(each.node for each in known.values())
    made: dict[str, InstanceView] = {}
    for record in sent:
        instance = _instance(record, nodes, taken=taken)
        if instance.id in known or instance.id in made:
            raise AlreadyExists("node instance", instance.id)
        made[instance.id] = instance
        taken[instance.node] += 1
    instances.insert(connection, key, made.values())
    return list(made)


def relate(connection: Connection, key: Key, instance_id: str, sent: Sequence[Json]) -> None:
    """Give an instance other relationships. Raises NotFound, BadRequest."""
    stored = instances.get(connection, key, instance_id)
    nodes = deployments.nodes_of(connection, key)
    related = _relationships(sent, nodes.get(stored.node) or {})
    instances.replace(connection, key, [replace(stored, relationships=related)])


def _node(record: Json) -> dict[str, Any]:
    node_id = checked_id(_text(record, "id", "node"), kind="node")
    type_name = _text(record, "type", "node")
    node = {name: kind() for name, kind in _NODE.items()} | dict(record)
    for name, kind in _NODE.items():
        _check(node[name], kind, f"{name} of node {node_id!r}", objects=name != "properties")
    _check(node["capabilities"].get("scalable", {}), dict, f"scalable of node {node_id!r}", objects=True)
    for each in node["relationships"]:
        _text(each, "target_id", "relationship")
        _text(each, "type", "relationship")
    return {"name": node_id, "type_hierarchy": [type_name], **node, "id": node_id}


def _instance(record: Json, nodes: Mapping[str, Json], *, taken: Mapping[str, int]) -> InstanceView:
    instance_id = checked_id(_text(record, "id", "node instance"), kind="node instance")
    node_id = _text(record, "node_id", "node instance")
    if node_id not in nodes:
        raise BadRequest(f"node instance {instance_id!r} is of node {node_id!r}, which the deployment does not have")
    found = {name: record.get(name) or kind() for name, kind in _INSTANCE.items()}
    for name, kind in _INSTANCE.items():
        _check(found[name], kind, f"{name} of node instance {instance_id!r}", objects=kind is list)
    host, number = record.get("host_id"), record.get("index")
    return InstanceView(
        id=instance_id,
        node=node_id,
        state=_text(record, "state", "node instance", default="uninitialized")[:40],
        host=None if host is None else checked_id(str(host), kind="host"),
        index=number if isinstance(number, int) and 0 <= number < 2**31 else taken.get(node_id, 0) + 1,
        relationships=_relationships(found["relationships"], nodes[node_id]),
        scaling_groups=tuple(found["scaling_groups"]),
        runtime_properties=found["runtime_properties"],
        system_properties=found["system_properties"],
    )


def _relationships(sent: Sequence[Json], node: Json) -> tuple[InstanceRelationship, ...]:
    """Return relationships with their place in the node's list, which the wire does not tell."""
    planned = list(node.get("relationships") or ())
    found = []
    for position, each in enumerate(sent):
        target, type_name = _text(each, "target_name", "relationship"), _text(each, "type", "relationship")
        place = next(
            (number for number, one in enumerate(planned) if (one["target_id"], one["type"]) == (target, type_name)),
            position,
        )
        instance = _text(each, "target_id", "relationship")
        found.append(InstanceRelationship(target_instance=instance, target_node=target, type=type_name, index=place))
    return tuple(found)


def _check(value: Any, kind: type, what: str, *, objects: bool) -> None:
    """Refuse what would stop a planner or a list page later; `objects`: all members are objects."""
    members: list[Any] = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    if not isinstance(value, kind) or (objects and not all(isinstance(each, dict) for each in members)):
        raise BadRequest(
            f"{what} must be {'an object' if kind is dict else 'a list'}{' of objects' if objects else ''}"
        )


def _text(record: Json, name: str, kind: str, *, default: str | None = None) -> str:
    value = record.get(name, default)
    if not isinstance(value, str) or not value or "\0" in value:
        raise BadRequest(f"{name} of a {kind} must be a text, not {value!r}")
    return value
