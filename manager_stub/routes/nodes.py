"""Nodes and node instances: listed, evaluated on demand, and instances patched with a version check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Response

from outrider.dispatcher.store import instances
from outrider.manager_stub.bodies import InstanceBody
from outrider.manager_stub.calls import Call, Operator, Reader
from outrider.manager_stub.errors import Missing
from outrider.manager_stub.evaluating import Evaluation
from outrider.manager_stub.listing import ListCall, Listing, truth, written
from outrider.manager_stub.paging import in_turn
from outrider.manager_stub.resource import fetch_one, fetch_page, own_row
from outrider.manager_stub.resources import NODE, NODE_INSTANCE

routes = APIRouter(tags=["nodes"])

#: Filters that name one node exactly: for those, "none" is worth an error.
_EXACT = ("deployment_id", "id")


@routes.get("/nodes")
async def list_nodes(call: Reader, listing: Listing) -> Response:
    """List nodes; with ``_evaluate_functions``, their properties are evaluated."""
    return await in_turn(lambda: _nodes(call, listing))


def _nodes(call: Call, listing: ListCall) -> Response:
    page = fetch_page(call, NODE, listing)
    if not page["items"] and all(len(listing.filters.get(name, ())) == 1 for name in _EXACT):
        # Clients that ask for one node by this list call do not expect it to be empty.
        raise Missing("node", listing.filters["id"][0])
    if listing.flag("_evaluate_functions"):
        _evaluate(call, page["items"], "properties", self_id=listing.flags.get("_instance_context"))
    return written(page)


@routes.get("/node-instances")
async def list_node_instances(call: Reader, listing: Listing) -> Response:
    """List node instances."""
    return await in_turn(lambda: _node_instances(call, listing))


def _node_instances(call: Call, listing: ListCall) -> Response:
    page = fetch_page(call, NODE_INSTANCE, listing)
    if listing.flag("_evaluate_functions"):
        _evaluate(call, page["items"], "runtime_properties")
    return written(page)


@routes.get("/node-instances/{instance_id}")
def get_node_instance(call: Reader, instance_id: str, listing: Listing) -> dict[str, Any]:
    """Return one node instance."""
    found = fetch_one(call, NODE_INSTANCE, instance_id, listing=listing)
    if listing.flag("_evaluate_functions"):
        _evaluate(call, [found], "runtime_properties", self_id=instance_id)
    return found


@routes.patch("/node-instances/{instance_id}")
def patch_node_instance(call: Operator, instance_id: str, body: InstanceBody, force: str = "") -> dict[str, Any]:
    """Change an instance; refused only if the stored version is newer than the one that was sent."""
    with call.write() as connection:
        row = own_row(connection, call, NODE_INSTANCE, instance_id)
        call.check_deployment(row.deployment_id)
        instances.patch(
            connection,
            (row.tenant, row.deployment_id),
            instance_id,
            version=None if truth(force) else body.version,
            state=body.state,
            runtime_properties=body.runtime_properties,
            system_properties=body.system_properties,
        )
        return fetch_one(call, NODE_INSTANCE, instance_id, connection=connection)


def _evaluate(call: Call, items: Sequence[dict[str, Any]], field: str, *, self_id: str | None = None) -> None:
    """Evaluate one field of each item, in its own deployment."""
    by_deployment: dict[str, Evaluation] = {}
    with call.read() as connection:
        for item in items:
            if not item.get(field) or "deployment_id" not in item:
                continue
            name = item["deployment_id"]
            if name not in by_deployment:
                by_deployment[name] = Evaluation.of(call, connection, name)
            item[field] = by_deployment[name].lenient(item[field], self_id=self_id or item.get("id"))
