"""Starts deployment updates: the dispatcher plans what is to be reached; the workflow `update` is handed it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from outrider.dispatcher.deploying import UpdateTarget
from outrider.dispatcher.store import blueprints, deployments, jsontext
from outrider.dispatcher.store.executions import Execution
from outrider.dispatcher.store.schema import DEPLOYMENT_UPDATES
from outrider.dispatcher.workflows.update import UPDATE_OPTIONS
from outrider.manager_stub.bodies import UpdateBody
from outrider.manager_stub.calls import Call
from outrider.manager_stub.errors import BadRequest

Json = Mapping[str, Any]

#: What the client says that the workflow takes as it is.
_PASSED = ("preview", *UPDATE_OPTIONS, "workflow_id")


def initiate(call: Call, deployment_id: str, body: UpdateBody) -> str:
    """Start an update and return its id. Raises `BadRequest`, `NotFound`, `DeploymentInvalid`, `WorkflowError`."""
    with call.read() as connection:
        blueprint_id = body.blueprint_id or deployments.get(connection, (call.tenant, deployment_id)).blueprint_id
        wanted = blueprints.get(connection, call.tenant, blueprint_id)
    if wanted.plan is None:
        raise BadRequest(f"blueprint {wanted.id!r} is {wanted.state}: it has no plan to update to")
    target = call.dispatcher.plan_update(
        deployment_id,
        blueprint_id=wanted.id,
        inputs=body.inputs,
        auto_correct_types=body.auto_correct_types,
    )
    update_id = f"{deployment_id}_{uuid.uuid4()}"
    payload = {
        "steps": [{**asdict(each), "entity_id": list(each.entity_id)} for each in target.steps],
        "old_inputs": dict(target.present.inputs),
        "new_inputs": dict(target.plan.get("inputs") or {}),
        "old_blueprint_id": target.present.blueprint_id,
        "new_blueprint_id": target.blueprint_id,
        "preview": body.preview,
    }
    execution_id = None if body.preview else _start(call, deployment_id, update_id, target, body)
    _record(call, update_id, deployment_id, execution_id, payload)
    return update_id


def _start(call: Call, deployment_id: str, update_id: str, target: UpdateTarget, body: UpdateBody) -> str:
    parameters: dict[str, Any] = {name: getattr(body, name) for name in _PASSED}
    parameters |= {**target.parameters, "update_id": update_id, "reinstall_list": body.reinstall_list or []}
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
