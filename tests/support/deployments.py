"""Deployments as values, for tests of planners: described by nodes, without a parser, a store or operations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from outrider.dispatcher.workflows.view import DeploymentView, InstanceRelationship, InstanceView

LIFECYCLE = "cloudify.interfaces.lifecycle"
RELATIONSHIP = "cloudify.interfaces.relationship_lifecycle"
ALL_LIFECYCLE = ("precreate", "create", "configure", "start", "poststart", "prestop", "stop", "delete", "postdelete")


def operation(plugin: str = "cloud", executor: str = "central_deployment_agent") -> dict[str, Any]:
    """Return the plan's record of an implemented operation."""
    return {"plugin": plugin, "operation": "module.function", "executor": executor, "inputs": {}}


def full_name(name: str) -> str:
    """Return the full name of an operation; short ones are lifecycle operations."""
    return name if "." in name else f"{LIFECYCLE}.{name}"


def relationship(
    target: str,
    *,
    kind: str = "depends_on",
    source: Iterable[str] = (),
    target_side: Iterable[str] = (),
    properties: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the plan's record of a node relationship."""
    name = f"cloudify.relationships.{kind}"
    return {
        "type": name,
        "type_hierarchy": ["cloudify.relationships.depends_on", name],
        "target_id": target,
        "properties": dict(properties or {}),
        "source_operations": {f"{RELATIONSHIP}.{each}": operation() for each in source},
        "target_operations": {f"{RELATIONSHIP}.{each}": operation() for each in target_side},
    }


def node(
    operations: Iterable[str] = ("create", "start", "stop", "delete"),
    *,
    relationships: Iterable[Mapping[str, Any]] = (),
    types: Iterable[str] = ("cloudify.nodes.Root",),
    properties: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the plan's record of a node; its name is its key in `deployment`."""
    hierarchy = list(types)
    return {
        "type": hierarchy[-1],
        "type_hierarchy": hierarchy,
        "properties": dict(properties or {}),
        "operations": {full_name(each): operation() for each in operations},
        "relationships": list(relationships),
    }


def deployment(
    nodes: Mapping[str, Mapping[str, Any]],
    *,
    counts: Mapping[str, int] | None = None,
    states: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
) -> DeploymentView:
    """Return a deployment whose instances are ``<node>_1`` …; every relationship leads to all instances of its target.

    `states` is by instance or by node.
    """
    known = counts or {}
    wanted = states or {}
    names = {name: [f"{name}_{n + 1}" for n in range(known.get(name, 1))] for name in nodes}
    instances: dict[str, InstanceView] = {}
    for name, record in nodes.items():
        for number, instance_id in enumerate(names[name], start=1):
            instances[instance_id] = InstanceView(
                id=instance_id,
                node=name,
                index=number,
                state=wanted.get(instance_id, wanted.get(name, "uninitialized")),
                relationships=tuple(
                    InstanceRelationship(
                        target_instance=target, target_node=each["target_id"], type=each["type"], index=place
                    )
                    for place, each in enumerate(record["relationships"])
                    for target in names[each["target_id"]]
                ),
            )
    named = {name: {"id": name, "name": name, **record} for name, record in nodes.items()}
    return DeploymentView(id="shop", nodes=named, instances=instances, config=config or {})
