"""Deployments: made at once, shown with their state, deleted with their executions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Response

from outrider.dispatcher.blueprint import DeploymentInvalid, Kind
from outrider.dispatcher.errors import ExecutionRunning
from outrider.dispatcher.outputs import evaluated
from outrider.dispatcher.store import blueprints, deployments, instances
from outrider.dispatcher.store.schema import EVENTS
from outrider.manager_stub.bodies import DeploymentBody, MetadataBody, SiteBody, VisibilityBody
from outrider.manager_stub.calls import Call, Reader, Starter
from outrider.manager_stub.errors import BadRequest
from outrider.manager_stub.listing import ListCall, Listing, slice_of, truth
from outrider.manager_stub.paging import answer_page
from outrider.manager_stub.resource import fetch_one, own_row
from outrider.manager_stub.resources import BLUEPRINT, DEPLOYMENT
from outrider.manager_stub.wire import checked_id, checked_visibility, labels_stored

routes = APIRouter(tags=["deployments"])

#: What is wrong with a deployment's inputs → the code that clients have their own words for.
_CODES = {
    Kind.INPUT_MISSING: "missing_required_deployment_input_error",
    Kind.INPUT_UNKNOWN: "unknown_deployment_input_error",
    Kind.SECRET_UNKNOWN: "unknown_deployment_secret_error",
}
#: States of instances that stand for something that exists.
_EXISTING = frozenset({"uninitialized", "deleted"})


@routes.get("/deployments")
async def list_deployments(call: Reader, listing: Listing) -> Response:
    """List deployments."""
    return await answer_page(call, DEPLOYMENT, listing)


@routes.put("/deployments/{deployment_id}", status_code=201)
def create_deployment(call: Starter, deployment_id: str, body: DeploymentBody) -> dict[str, Any]:
    """Plan a deployment and store it; its nodes and instances are there when this returns."""
    checked_id(deployment_id, kind="deployment")
    with call.read() as connection:
        fetch_one(call, BLUEPRINT, body.blueprint_id, connection=connection)
        blueprint = blueprints.get(connection, call.tenant, body.blueprint_id)
    if blueprint.plan is None:
        raise BadRequest(f"blueprint {blueprint.id!r} is {blueprint.state}: {blueprint.error or 'it has no plan'}")
    details = {
        "visibility": checked_visibility(body.visibility),
        "created_by": call.caller.user,
        # Those of the blueprint join them.
        "labels": labels_stored(body.labels),
        "site_name": body.site_name,
        "runtime_only_evaluation": body.runtime_only_evaluation,
    }
    try:
        made = call.dispatcher.create_deployment(
            deployment_id, body.blueprint_id, inputs=body.inputs or {}, details=details
        )
    except DeploymentInvalid as error:
        raise BadRequest(_sentence(error), code=_code(error)) from error
    if body.display_name and body.display_name != made.display_name:
        with call.write() as connection:
            deployments.update(connection, made.key, {"display_name": body.display_name}, now=call.now(connection))
    return fetch_one(call, DEPLOYMENT, deployment_id)


@routes.get("/deployments/{deployment_id}")
def get_deployment(call: Reader, deployment_id: str, listing: Listing) -> dict[str, Any]:
    """Return one deployment with its workflows."""
    return fetch_one(call, DEPLOYMENT, deployment_id, listing=replace(listing, flags={"_workflows": "true"}))


@routes.get("/deployments/{deployment_id}/outputs")
def get_outputs(call: Reader, deployment_id: str) -> dict[str, Any]:
    """Return a deployment's outputs, evaluated now."""
    return _values(call, deployment_id, "outputs")


@routes.get("/deployments/{deployment_id}/capabilities")
def get_capabilities(call: Reader, deployment_id: str) -> dict[str, Any]:
    """Return a deployment's capabilities, evaluated now."""
    return _values(call, deployment_id, "capabilities")


@routes.get("/deployments/{deployment_id}/workflows")
def get_workflows(call: Reader, deployment_id: str) -> dict[str, Any]:
    """Return a deployment's workflows, with whether each can be started now."""
    record = fetch_one(call, DEPLOYMENT, deployment_id, listing=ListCall(flags={"_workflows": "true"}))
    return {"deployment_id": deployment_id, "workflows": record["workflows"]}


@routes.get("/deployments/{deployment_id}/labels")
def get_labels(call: Reader, deployment_id: str, listing: Listing) -> dict[str, Any]:
    """List a deployment's labels."""
    return slice_of(fetch_one(call, DEPLOYMENT, deployment_id)["labels"], listing)


@routes.patch("/deployments/{deployment_id}")
def change_deployment(call: Starter, deployment_id: str, body: MetadataBody) -> dict[str, Any]:
    """Change a deployment's owner, labels or display name."""
    sent = body.model_dump(exclude_unset=True)
    details: dict[str, Any] = {}
    if sent.get("creator") is not None:
        details["created_by"] = sent["creator"]
    if "labels" in sent:
        details["labels"] = labels_stored(sent["labels"])
    if sent.get("visibility"):
        details["visibility"] = sent["visibility"]
    return _change(call, deployment_id, details, display_name=sent.get("display_name"))


@routes.patch("/deployments/{deployment_id}/set-visibility")
def set_visibility(call: Starter, deployment_id: str, body: VisibilityBody) -> dict[str, Any]:
    """Change who sees a deployment."""
    return _change(call, deployment_id, {"visibility": body.visibility})


@routes.post("/deployments/{deployment_id}/set-site")
def set_site(call: Starter, deployment_id: str, body: SiteBody) -> dict[str, Any]:
    """Change the name of the site that a deployment is at."""
    return _change(call, deployment_id, {"site_name": None if body.detach_site else body.site_name})


@routes.delete("/deployments/{deployment_id}", status_code=204)
def delete_deployment(call: Starter, deployment_id: str, force: str = "", delete_logs: str = "") -> None:
    """Delete a deployment; what still stands is refused unless forced."""
    with call.write() as connection:
        row = own_row(connection, call, DEPLOYMENT, deployment_id)
        key = (row.tenant, row.id)
        forced = truth(force)
        standing = [
            each.id for each in instances.of_deployment(connection, key).values() if each.state not in _EXISTING
        ]
        if standing and not forced:
            named = ", ".join(standing[:5])
            raise BadRequest(
                f"deployment {deployment_id!r} has instances that stand ({named}): uninstall it, or delete it by force",
                code="dependent_exists_error",
            )
        try:
            deployments.delete(connection, key, force=forced)
        except ExecutionRunning as error:
            raise BadRequest(str(error), code="dependent_exists_error") from error
        if truth(delete_logs):
            connection.execute(EVENTS.delete().where(EVENTS.c.tenant == key[0], EVENTS.c.deployment_id == key[1]))


def _values(call: Call, deployment_id: str, section: str) -> dict[str, Any]:
    with call.read() as connection:
        record = fetch_one(call, DEPLOYMENT, deployment_id, connection=connection)
        found = evaluated(connection, (record["tenant_name"], deployment_id), section)
    return {"deployment_id": deployment_id, section: found}


def _change(
    call: Call, deployment_id: str, details: Mapping[str, Any], *, display_name: str | None = None
) -> dict[str, Any]:
    with call.write() as connection:
        own_row(connection, call, DEPLOYMENT, deployment_id)
        key = (call.tenant, deployment_id)
        stored = deployments.get(connection, key)
        values = {"details": {**stored.details, **details}, "display_name": display_name or stored.display_name}
        deployments.update(connection, key, values, now=call.now(connection))
        return fetch_one(call, DEPLOYMENT, deployment_id, connection=connection)


def _code(error: DeploymentInvalid) -> str:
    return next((_CODES[each.kind] for each in error.errors if each.kind in _CODES), "deployment_creation_error")


def _sentence(error: DeploymentInvalid) -> str:
    return "; ".join(each.message for each in error.errors)
