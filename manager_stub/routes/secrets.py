"""Secrets: values are encrypted in the store, and leave only by `GET` of one of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Response

from outrider.dispatcher.secrets import SecretInfo, Visibility
from outrider.manager_stub.bodies import SecretBody, SecretChangeBody, VisibilityBody
from outrider.manager_stub.calls import Call, Operator, Reader, Starter
from outrider.manager_stub.errors import Forbidden
from outrider.manager_stub.hidden import may_read
from outrider.manager_stub.listing import Listing
from outrider.manager_stub.paging import answer_page
from outrider.manager_stub.resource import fetch_one
from outrider.manager_stub.resources import SECRET
from outrider.manager_stub.wire import checked_id, checked_visibility

routes = APIRouter(tags=["secrets"])


@routes.get("/secrets")
async def list_secrets(call: Reader, listing: Listing) -> Response:
    """List secrets without their values."""
    return await answer_page(call, SECRET, listing)


@routes.get("/secrets/{key}")
def get_secret(call: Operator, key: str) -> dict[str, Any]:
    """Return a secret with its value (a hidden one: to its creator, to administrators, and to their operations)."""
    record = fetch_one(call, SECRET, key)
    hidden = record["is_hidden_value"] and not may_read(call, record["created_by"])
    return {**record, "value": "" if hidden else call.manager.secrets.get(record["tenant_name"], key).value}


@routes.put("/secrets/{key}")
def put_secret(call: Starter, key: str, body: SecretBody) -> dict[str, Any]:
    """Store a secret; one that exists is replaced only if that was asked for."""
    info = SecretInfo(
        tenant=call.tenant,
        name=checked_id(key, kind="secret", letter_first=True),
        visibility=Visibility(checked_visibility(body.visibility)),
        hidden=body.is_hidden_value,
        created_by=call.caller.user,
        schema=body.schema_,
    )
    call.manager.secrets.set(info, body.value, replace=body.update_if_exists)
    return fetch_one(call, SECRET, key)


@routes.patch("/secrets/{key}")
def change_secret(call: Starter, key: str, body: SecretChangeBody) -> dict[str, Any]:
    """Change a secret's value, or who sees it."""
    _set(call, key, body)
    return fetch_one(call, SECRET, key)


@routes.patch("/secrets/{key}/set-visibility")
def set_visibility(call: Starter, key: str, body: VisibilityBody) -> dict[str, Any]:
    """Change who sees a secret."""
    _set(call, key, SecretChangeBody(visibility=body.visibility))
    return fetch_one(call, SECRET, key)


@routes.delete("/secrets/{key}", status_code=204)
def delete_secret(call: Starter, key: str) -> None:
    """Delete a secret."""
    fetch_one(call, SECRET, key)
    call.manager.secrets.delete(call.tenant, key)


def _set(call: Call, key: str, body: SecretChangeBody) -> None:
    record = fetch_one(call, SECRET, key)
    stored = call.manager.secrets.get(call.tenant, key)
    if stored.info.tenant != call.tenant:
        raise Forbidden(f"secret {key!r} belongs to tenant {stored.info.tenant!r}")
    if stored.info.hidden and not may_read(call, record["created_by"]):
        raise Forbidden(f"secret {key!r} is hidden: only {record['created_by']!r} may change it")
    info = replace(
        stored.info,
        hidden=stored.info.hidden if body.is_hidden_value is None else body.is_hidden_value,
        visibility=stored.info.visibility if body.visibility is None else Visibility(body.visibility),
    )
    changed = "value" in body.model_fields_set
    call.manager.secrets.set(info, body.value if changed else stored.value)
