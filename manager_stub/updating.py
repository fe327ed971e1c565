"""Starts deployment updates: plans what is to be reached, and hands it to the workflow `update`."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from outrider.dispatcher.blueprint import prepare_deployment
from outrider.dispatcher.store import blueprints, deployments, jsontext
from outrider.dispatcher.store.executions import Execution
from outrider.dispatcher.store.schema import DEPLOYMENT_UPDATES
from outrider.manager_stub.bodies import UpdateBody
from outrider.manager_stub.calls import Call
from outrider.manager_stub.errors import BadRequest

Json = Mapping[str, Any]

#: What the client says that the workflow takes as it is.
_PASSED = (
    "preview",
    "skip_install",
    "skip_uninstall",
    "skip_reinstall",
    "skip_drift_check",
    "skip_heal",
    "force_reinstall",
    "install_first",
    "ignore_failure",
)


def initiate(call: Call, deployment_id: str, body: UpdateBody) -> str:
    """Start an update and return its id. Raises `NotFound`, `DeploymentInvalid`, `WorkflowError`."""
    key = (call.tenant, deployment_id)
    with call.read() as connection:
        now = deployments.get(connection, key)
        nodes = deployments.nodes_of(connection, key)
        target = blueprints.get(connection, call.tenant, body.blueprint_id or now.blueprint_id)
    if target.plan is None:
        raise BadRequest(f"blueprint {target.id!r} is {target.state}: it has no plan to update to")
    declared = target.plan.get("inputs") or {}
    # An input that was absent is null; the new blueprint may have a default for it.
    known = {name: value for name, value in now.inputs.items() if name in declared and value is not None}
    inputs = {**known, **(body.inputs or {})}
    secrets = {each.name for each in call.manager.secrets.list(call.tenant)}
    plan = dict(prepare_deployment(target.plan, inputs=inputs, secrets=secrets))
    update_id = f"{deployment_id}_{uuid.uuid4()}"
    payload = {
        "steps": steps(nodes, {node["id"]: node for node in plan["nodes"]}),
        "old_inputs": dict(now.inputs),
        "new_inputs": dict(plan.get("inputs") or inputs),
        "old_blueprint_id": now.blueprint_id,
        "new_blueprint_id": target.id,
        "preview": body.preview,
    }
    execution_id = None if body.preview else _start(call, deployment_id, update_id, plan, body)
    _record(call, update_id, deployment_id, execution_id, payload)
    return update_id


def _start(call: Call, deployment_id: str, update_id: str, plan: Json, body: UpdateBody) -> str:
    parameters: dict[str, Any] = {name: getattr(body, name) for name in _PASSED}
    parameters |= {"plan": plan, "update_id": update_id, "blueprint_id": body.blueprint_id}
    parameters["reinstall_list"] = body.reinstall_list or []
    asked = Execution(
        id="",
        workflow="update",
        force=body.force,
        created_by=call.caller.user,
        details={"allow_custom_parameters": True, "update": update_id},
    )
    return call.dispatcher.start("update", deployment_id, parameters, execution=asked).id


def _record(call: Call, update_id: str, deployment_id: str, execution_id: str | None, payload: Json) -> None:
    with call.write() as connection:
        connection.execute(
            sa.insert(DEPLOYMENT_UPDATES),
            {
                "id": update_id,
                "tenant": call.tenant,
                "deployment_id": deployment_id,
                "execution_id": execution_id,
                "state": "preview" if execution_id is None else "updating",
                "payload": jsontext.dump(payload),
                "created_at": call.now(connection),
            },
        )


def steps(before: Mapping[str, Json], after: Mapping[str, Json]) -> list[dict[str, Any]]:
    """Return what an update changes, node by node, as clients print it."""
    found = [_step("node", "add", name) for name in after if name not in before]
    found += [_step("node", "remove", name) for name in before if name not in after]
    for name in after:
        if name not in before:
            continue
        for part in ("properties", "operations", "relationships"):
            if before[name].get(part) != after[name].get(part):
                found.append(_step(part.rstrip("s") if part != "properties" else "property", "modify", name))
    return found


def _step(entity: str, action: str, name: str) -> dict[str, Any]:
    return {"entity_type": entity, "action": action, "entity_id": ["nodes", name]}
