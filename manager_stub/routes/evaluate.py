"""Evaluates intrinsic functions on behalf of an operation or a person."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from outrider.dispatcher.blueprint import Scope
from outrider.manager_stub.bodies import EvaluateBody
from outrider.manager_stub.calls import Operator
from outrider.manager_stub.evaluating import Evaluation

routes = APIRouter(tags=["evaluate"])


@routes.post("/evaluate/functions")
def evaluate_functions(call: Operator, body: EvaluateBody) -> dict[str, Any]:
    """Return the payload with its functions evaluated."""
    names = {key: value for key, value in body.context.items() if isinstance(value, str)}
    scope = Scope(self_id=names.get("self"), source_id=names.get("source"), target_id=names.get("target"))
    with call.read() as connection:
        payload = Evaluation.of(call, connection, body.deployment_id).strict(body.payload, scope)
    return {"deployment_id": body.deployment_id, "payload": payload}
