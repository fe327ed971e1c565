"""Questions about a deployment's nodes and instances that several planners ask.

The shapes of node records (``operations``, ``relationships``, ``type_hierarchy`` …) are those of the plan, which are
part of the REST interface.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from outrider.dispatcher.workflows.graph import Side
from outrider.dispatcher.workflows.view import DeploymentView, InstanceRelationship, InstanceView

Json = Mapping[str, Any]

LIFECYCLE = "cloudify.interfaces.lifecycle"
VALIDATION = "cloudify.interfaces.validation"
MONITORING = "cloudify.interfaces.monitoring"
MONITORING_AGENT = "cloudify.interfaces.monitoring_agent"
RELATIONSHIP = "cloudify.interfaces.relationship_lifecycle"
AGENT = "cloudify.interfaces.cloudify_agent"
HOST = "cloudify.interfaces.host"

COMPUTE = "cloudify.nodes.Compute"
CONTAINED_IN = "cloudify.relationships.contained_in"
AFTER_OPERATION = "cloudify.relationships.depends_on_lifecycle_operation"

#: Ways to put an agent on a host in which a script on the host starts it, not a connection from outside.
SCRIPT_METHODS = frozenset({"init_script", "provided", "plugin"})
NO_AGENT = "none"


def implements(operations: Json, operation: str) -> bool:
    """Tell whether an ``operations`` mapping of the plan has an implementation for a full operation name."""
    entry = operations.get(operation)
    return bool(entry and entry.get("operation"))


def node_implements(node: Json, operation: str) -> bool:
    """Tell whether a node implements an operation."""
    return implements(node.get("operations") or {}, operation)


def node_types(node: Json) -> tuple[str, ...]:
    """Return a node's type and all that it derives from."""
    return tuple(node.get("type_hierarchy") or (node.get("type", ""),))


def is_host(node: Json) -> bool:
    """Tell whether instances of this node are hosts."""
    return COMPUTE in node_types(node)


def agent_config(node: Json) -> dict[str, Any]:
    """Return how the agent of a host is configured: ``agent_config`` over the deprecated ``cloudify_agent``.

    What is below ``extra`` counts like what stands beside it.
    """
    properties = node.get("properties") or {}
    found: dict[str, Any] = {}
    for name in ("cloudify_agent", "agent_config"):
        config = properties.get(name)
        if isinstance(config, Mapping):
            extra = config.get("extra")
            found.update({key: value for key, value in config.items() if key != "extra"})
            found.update(extra if isinstance(extra, Mapping) else {})
    return found


def install_method(node: Json) -> str:
    """Return how the agent gets onto a host of this node.

    The deprecated ``install_agent`` wins when it is a boolean, then ``cloudify_agent``, then ``agent_config``; a host
    that says nothing is reached remotely.
    """
    properties = node.get("properties") or {}
    old = properties.get("install_agent")
    if isinstance(old, bool):
        return "remote" if old else NO_AGENT
    for name in ("cloudify_agent", "agent_config"):
        config = properties.get(name)
        if isinstance(config, Mapping) and config.get("install_method"):
            return str(config["install_method"])
    return "remote"


def relationship_record(view: DeploymentView, instance: InstanceView, relationship: InstanceRelationship) -> Json:
    """Return the plan's record of the node relationship that an instance's relationship comes from."""
    records = view.nodes[instance.node].get("relationships") or ()
    if relationship.index < len(records):
        record: Json = records[relationship.index]
        return record
    return {}


def relationship_implements(record: Json, side: Side, operation: str) -> bool:
    """Tell whether one side of a relationship implements an operation."""
    return implements(record.get(f"{side.value}_operations") or {}, operation)


def relationship_types(record: Json, relationship: InstanceRelationship) -> tuple[str, ...]:
    """Return a relationship's type and all that it derives from."""
    return tuple(record.get("type_hierarchy") or (relationship.type,))


def is_contained(view: DeploymentView, instance: InstanceView, relationship: InstanceRelationship) -> bool:
    """Tell whether this relationship says that the instance lives inside its target."""
    record = relationship_record(view, instance, relationship)
    return CONTAINED_IN in relationship_types(record, relationship)


def contained_children(view: DeploymentView) -> Mapping[str, tuple[str, ...]]:
    """Return instance id → ids of the instances directly inside it."""
    found: dict[str, list[str]] = {}
    for instance in view.instances.values():
        for relationship in instance.relationships:
            if is_contained(view, instance, relationship):
                found.setdefault(relationship.target_instance, []).append(instance.id)
    return {parent: tuple(children) for parent, children in found.items()}


def contained_subgraph(view: DeploymentView, roots: Iterable[str]) -> frozenset[str]:
    """Return the given instances and everything that is inside them, at any depth."""
    children = contained_children(view)
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        instance = waiting.pop()
        if instance not in found:
            found.add(instance)
            waiting.extend(children.get(instance, ()))
    return frozenset(found)


def dependencies(view: DeploymentView, instance: InstanceView) -> Iterator[str]:
    """Yield the ids of the instances that an instance depends on, each once."""
    seen: set[str] = set()
    for relationship in instance.relationships:
        target = relationship.target_instance
        if target in view.instances and target not in seen:
            seen.add(target)
            yield target
