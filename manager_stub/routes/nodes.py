"""Nodes and node instances: listed, evaluated on demand, instances patched with a version check; made and deleted too.

What makes and deletes them over this API is the ecosystem's own deploying and updating code, run elsewhere: the
dispatcher plans its deployments itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy.engine import Connection

from outrider.dispatcher.store import instances
from outrider.manager_stub import model_writing
from outrider.manager_stub.bodies import InstanceBody, NewInstancesBody, NodeBody, NodesBody
from outrider.manager_stub.calls import Call, Operator, Reader
from outrider.manager_stub.errors import Missing
from outrider.manager_stub.evaluating import Evaluation
from outrider.manager_stub.listing import ListCall, Listing, truth, whole_list, written
from outrider.manager_stub.paging import answer_page, in_turn
from outrider.manager_stub.resource import fetch_one, fetch_page, own_row
from outrider.manager_stub.resources import DEPLOYMENT, NODE, NODE_INSTANCE

routes = APIRouter(tags=["nodes"])

#: Filters that name one node exactly: for those, "none" is worth an error.
_EXACT = ("deployment_id", "id")


@routes.get("/nodes")
async def list_nodes(call: Reader, listing: Listing) -> Response:
    """List nodes; with ``_evaluate_functions``, their properties are evaluated."""
    if listing.flag("_evaluate_functions") or _names_one(listing):
        return await in_turn(lambda: _nodes(call, listing))
    return await answer_page(call, NODE, listing)


def _names_one(listing: ListCall) -> bool:
    return all(len(listing.filters.get(name, ())) == 1 for name in _EXACT)


def _nodes(call: Call, listing: ListCall) -> Response:
    page = fetch_page(call, NODE, listing)
    if not page["items"] and _names_one(listing):
        # Clients that ask for one node by this list call do not expect it to be empty.
        raise Missing("node", listing.filters["id"][0])
    if listing.flag("_evaluate_functions"):
        _evaluate(call, page["items"], "properties", self_id=listing.flags.get("_instance_context"))
    return written(page)


@routes.post("/nodes", status_code=201)
def make_nodes(call: Operator, body: NodesBody) -> None:
    """Add nodes to a deployment; their records are as plans have them."""
    with call.write() as connection:
        model_writing.add_nodes(connection, _deployment(connection, call, body.deployment_id), body.nodes)


@routes.patch("/nodes/{deployment_id}/{node_id}", status_code=204)
def change_node(call: Operator, deployment_id: str, node_id: str, body: NodeBody) -> None:
    """Change what is recorded of a node."""
    with call.write() as connection:
        key = _deployment(connection, call, deployment_id)
        model_writing.change_node(connection, key, node_id, body.model_dump(exclude_none=True))


@routes.delete("/nodes/{deployment_id}/{node_id}", status_code=204)
def delete_node(call: Operator, deployment_id: str, node_id: str) -> None:
    """Delete a node that has no instances any more."""
    with call.write() as connection:
        model_writing.delete_node(connection, _deployment(connection, call, deployment_id), node_id)


@routes.post("/node-instances", status_code=201)
def make_node_instances(call: Operator, body: NewInstancesBody) -> dict[str, Any]:
    """Add instances of a deployment's nodes."""
    with call.write() as connection:
        key = _deployment(connection, call, body.deployment_id)
        made = model_writing.add_instances(connection, key, body.node_instances)
        return whole_list([fetch_one(call, NODE_INSTANCE, each, connection=connection) for each in made])


@routes.delete("/node-instances/{instance_id}", status_code=204)
def delete_node_instance(call: Operator, instance_id: str) -> None:
    """Delete a node instance; what it stands for on a host is not touched."""
    with call.write() as connection:
        row = own_row(connection, call, NODE_INSTANCE, instance_id)
        call.check_deployment(row.deployment_id)
        instances.remove(connection, (row.tenant, row.deployment_id), [instance_id])


@routes.get("/node-instances")
async def list_node_instances(call: Reader, listing: Listing) -> Response:
    """List node instances."""
    if listing.flag("_evaluate_functions"):
        return await in_turn(lambda: _evaluated_instances(call, listing))
    return await answer_page(call, NODE_INSTANCE, listing)


def _evaluated_instances(call: Call, listing: ListCall) -> Response:
    page = fetch_page(call, NODE_INSTANCE, listing)
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
        if body.relationships is not None:
            model_writing.relate(connection, (row.tenant, row.deployment_id), instance_id, body.relationships)
        return fetch_one(call, NODE_INSTANCE, instance_id, connection=connection)


def _deployment(connection: Connection, call: Call, deployment_id: str) -> instances.Key:
    call.check_deployment(deployment_id)
    row = own_row(connection, call, DEPLOYMENT, deployment_id)
    return row.tenant, row.id


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
