"""The small deployment that the workflows' reference pages are drawn on."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from outrider.dispatcher.workflows.topology import (
    AGENT,
    CONTAINED_IN,
    HOST,
    LIFECYCLE,
    RELATIONSHIP,
    VALIDATION,
)
from outrider.dispatcher.workflows.view import DeploymentView, InstanceRelationship, InstanceView

Json = Mapping[str, Any]

_CONNECTED = "cloudify.relationships.connected_to"
_DEPENDS = "cloudify.relationships.depends_on"
_USUAL = (
    *(f"{LIFECYCLE}.{each}" for each in ("create", "configure", "start", "stop", "delete", "pull", "check_drift")),
    f"{VALIDATION}.check_status",
)
_ON_HOST = (
    f"{HOST}.get_state",
    *(f"{AGENT}.{each}" for each in ("create", "stop", "delete", "validate_amqp", "create_amqp")),
)

_PARAMETERS: Mapping[str, Json] = MappingProxyType(
    {
        "execute_operation": {"operation": f"{LIFECYCLE}.configure", "run_by_dependency_order": True},
        "scale": {"scalable_entity_name": "app", "delta": -1},
        "heal": {"node_instance_id": "app_1"},
    }
)

#: States in which a drawing finds the instances, where not all are started.
_STATES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "install": dict.fromkeys(("vm_1", "db_1", "app_1"), "uninitialized"),
        "rollback": {"vm_1": "started", "db_1": "starting", "app_1": "creating"},
    }
)


def sample_parameters(workflow: str) -> Json:
    """Return the parameters that a workflow's drawing uses."""
    if workflow != "update":
        return _PARAMETERS.get(workflow, {})
    nodes = sample_view(workflow).nodes
    app = {**nodes["app"], "properties": {"port": 80}, "relationships": nodes["app"]["relationships"][:1]}
    return {"plan": {"nodes": [nodes["vm"], app]}, "skip_drift_check": True}


def sample_view(workflow: str) -> DeploymentView:
    """Return the deployment in the states that a workflow's drawing starts from."""
    states = _STATES.get(workflow, {})
    nodes = {
        "vm": _node("vm", ("cloudify.nodes.Root", "cloudify.nodes.Compute"), (*_USUAL, *_ON_HOST), ()),
        "db": _node("db", ("cloudify.nodes.Root",), _USUAL, ()),
        "app": _node(
            "app",
            ("cloudify.nodes.Root",),
            (*_USUAL, f"{LIFECYCLE}.heal", f"{LIFECYCLE}.update"),
            (_relationship("vm", CONTAINED_IN, ()), _relationship("db", _CONNECTED, ("establish", "unlink"))),
        ),
    }
    links = (
        InstanceRelationship(target_instance="vm_1", target_node="vm", type=CONTAINED_IN, index=0),
        InstanceRelationship(target_instance="db_1", target_node="db", type=_CONNECTED, index=1),
    )
    ill = {"status": {"ok": False}} if workflow == "heal" else {}
    instances = {
        f"{name}_1": InstanceView(
            id=f"{name}_1",
            node=name,
            state=states.get(f"{name}_1", "started"),
            host="vm_1" if name != "db" else None,
            relationships=links if name == "app" else (),
            system_properties=ill if name == "app" else {"status": {"ok": True}},
        )
        for name in nodes
    }
    return DeploymentView(id="sample", nodes=nodes, instances=instances)


def _node(name: str, types: tuple[str, ...], operations: tuple[str, ...], relationships: tuple[Json, ...]) -> Json:
    numbers = {"default_instances": 1, "current_instances": 1, "min_instances": 0, "max_instances": -1}
    return {
        "id": name,
        "name": name,
        "type": types[-1],
        "type_hierarchy": list(types),
        "properties": {},
        "operations": {each: _operation() for each in operations},
        "relationships": list(relationships),
        "capabilities": {"scalable": {"properties": numbers}},
        **({"host_id": "vm"} if name != "db" else {}),
    }


def _relationship(target: str, kind: str, operations: tuple[str, ...]) -> Json:
    return {
        "type": kind,
        "type_hierarchy": [_DEPENDS, kind],
        "target_id": target,
        "properties": {"connection_type": "all_to_all"},
        "source_operations": {f"{RELATIONSHIP}.{each}": _operation() for each in operations},
        "target_operations": {},
    }


def _operation() -> Json:
    return {"plugin": "cloud", "operation": "module.function", "executor": "central_deployment_agent", "inputs": {}}
