"""Applies the changes of a deployment's model that a stage makes (scale, update, heal), in the engine's transaction.

The payloads are the planners': see `workflows.graph.ModelChange`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy.engine import Connection

from outrider.dispatcher.errors import Conflict
from outrider.dispatcher.labels import after_update
from outrider.dispatcher.model import Model
from outrider.dispatcher.store import blueprints, deployments, instances
from outrider.dispatcher.workflows.graph import ChangeKind, ModelChange
from outrider.dispatcher.workflows.view import InstanceRelationship, InstanceView

#: Keys of a plan that the deployment's own table keeps.
_COLUMNS = ("inputs", "outputs", "capabilities", "scaling_groups")
#: Details that a deployment takes from its blueprint: what was built from the plugins' sources.
_FROM_BLUEPRINT = ("built_plugins",)


def apply(connection: Connection, model: Model, changes: Iterable[ModelChange], *, now: float) -> None:
    """Write `changes` and read the model again."""
    listed = list(changes)
    if not listed:
        return
    model.flush(connection)
    for change in listed:
        _APPLY[change.kind](connection, model, change.payload, now)
    model.reload(connection)


def stored(changes: Iterable[ModelChange]) -> tuple[dict[str, Any], ...]:
    """Return changes as JSON, for those that wait for the end of a stage."""
    return tuple({"kind": change.kind.value, "payload": _plain(change.payload)} for change in changes)


def restored(values: Iterable[Mapping[str, Any]]) -> tuple[ModelChange, ...]:
    """Return the changes that `stored` wrote."""
    return tuple(ModelChange(kind=ChangeKind(value["kind"]), payload=value["payload"]) for value in values)


def instance_from(value: InstanceView | Mapping[str, Any]) -> InstanceView:
    """Return an instance from a plan's ``node_instances`` entry (or from a view, as it is)."""
    if isinstance(value, InstanceView):
        return value
    relationships = tuple(
        InstanceRelationship(
            target_instance=each.get("target_instance") or each["target_id"],
            target_node=each.get("target_node") or each["target_name"],
            type=each["type"],
            index=each.get("index", position),
        )
        for position, each in enumerate(value.get("relationships") or ())
    )
    groups = tuple(each if isinstance(each, Mapping) else {"name": each} for each in value.get("scaling_groups") or ())
    return InstanceView(
        id=value["id"],
        node=value.get("node_id") or value.get("name") or value["node"],
        state=value.get("state", "uninitialized"),
        host=value.get("host_id") or value.get("host"),
        index=value.get("index", 1),
        relationships=relationships,
        scaling_groups=groups,
        runtime_properties=value.get("runtime_properties") or {},
        system_properties=value.get("system_properties") or {},
        version=value.get("version", 1),
    )


def _plain(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain_value(value) for name, value in payload.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, InstanceView):
        fields = {name: getattr(value, name) for name in InstanceView.__dataclass_fields__}
        fields["relationships"] = [
            {name: getattr(each, name) for name in InstanceRelationship.__dataclass_fields__}
            for each in value.relationships
        ]
        return {**fields, "scaling_groups": list(value.scaling_groups)}
    if isinstance(value, Mapping):
        return {name: _plain_value(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain_value(each) for each in value]
    return value


def _add(connection: Connection, model: Model, payload: Mapping[str, Any], _now: float) -> None:
    new = [instance_from(each) for each in payload["instances"]]
    # A stage that is applied again after a crash finds its instances there already.
    instances.insert(connection, model.key, [each for each in new if each.id not in model.instances])


def _remove(connection: Connection, model: Model, payload: Mapping[str, Any], _now: float) -> None:
    instances.remove(connection, model.key, list(payload["instances"]))


def _update(connection: Connection, model: Model, payload: Mapping[str, Any], _now: float) -> None:
    changed = []
    for value in payload["instances"]:
        new = instance_from(value)
        old = model.instances.get(new.id)
        if old is not None and not isinstance(value, InstanceView):
            new = replace(
                new,
                state=value.get("state", old.state),
                runtime_properties=value.get("runtime_properties", old.runtime_properties),
                system_properties=value.get("system_properties", old.system_properties),
                version=old.version + 1,
            )
        changed.append(new)
    instances.replace(connection, model.key, changed)


def _replace_plan(connection: Connection, model: Model, payload: Mapping[str, Any], now: float) -> None:
    plan = dict(payload["plan"])
    nodes = plan.pop("nodes", None)
    plan.pop("node_instances", None)
    values: dict[str, Any] = {name: plan[name] for name in _COLUMNS if name in plan}
    values["plan"] = plan
    # From the store: labels may have been set since the model was read.
    present = deployments.get(connection, model.key)
    labels = after_update(present.details.get("labels") or {}, old_plan=present.plan, new_plan=plan)
    details = {**present.details, "labels": labels}
    if payload.get("blueprint_id"):
        values["blueprint_id"] = payload["blueprint_id"]
        blueprint = blueprints.get(connection, model.key[0], payload["blueprint_id"])
        # The rest of a blueprint's details (owner, labels, visibility) is about the blueprint itself.
        details |= {name: blueprint.details[name] for name in _FROM_BLUEPRINT if name in blueprint.details}
    values["details"] = details
    deployments.update(connection, model.key, values, now=now)
    if nodes is not None:
        deployments.replace_nodes(connection, model.key, nodes)


def _set_scale(connection: Connection, model: Model, payload: Mapping[str, Any], now: float) -> None:
    """`payload`: ``nodes`` and ``scaling_groups``, each name → the properties that change (current_instances …)."""
    nodes = {name: dict(node) for name, node in model.nodes.items()}
    for name, properties in (payload.get("nodes") or {}).items():
        if name not in nodes:
            raise Conflict(f"deployment {model.key[1]!r} has no node {name!r} to scale")
        capabilities = {**nodes[name].get("capabilities", {})}
        scalable = capabilities.get("scalable", {})
        capabilities["scalable"] = {**scalable, "properties": {**scalable.get("properties", {}), **properties}}
        nodes[name]["capabilities"] = capabilities
    deployments.replace_nodes(connection, model.key, nodes.values())
    groups = {name: dict(group) for name, group in model.deployment.scaling_groups.items()}
    for name, properties in (payload.get("scaling_groups") or {}).items():
        group = groups.setdefault(name, {})
        group["properties"] = {**group.get("properties", {}), **properties}
    deployments.update(connection, model.key, {"scaling_groups": groups}, now=now)


def _clear_system(connection: Connection, model: Model, payload: Mapping[str, Any], _now: float) -> None:
    names = payload.get("names")
    changed = []
    for instance_id in payload["instances"]:
        old = model.instances.get(instance_id)
        if old is not None:
            kept = {k: v for k, v in old.system_properties.items() if names is not None and k not in names}
            changed.append(replace(old, system_properties=kept, version=old.version + 1))
    instances.save(connection, model.key, changed)
    instances.touch_model(connection, model.key)


_APPLY = {
    ChangeKind.ADD_INSTANCES: _add,
    ChangeKind.REMOVE_INSTANCES: _remove,
    ChangeKind.UPDATE_INSTANCES: _update,
    ChangeKind.REPLACE_PLAN: _replace_plan,
    ChangeKind.SET_SCALE: _set_scale,
    ChangeKind.CLEAR_SYSTEM_PROPERTIES: _clear_system,
}
