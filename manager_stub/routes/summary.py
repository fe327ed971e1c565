"""Summaries: how many of a kind there are for each value of a field, and of a second one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter

from outrider.dispatcher.store.schema import EXECUTIONS
from outrider.manager_stub.calls import Call, Reader
from outrider.manager_stub.errors import BadRequest
from outrider.manager_stub.listing import ListCall, Listing, slice_of
from outrider.manager_stub.resource import Resource, conditions_of
from outrider.manager_stub.resources import BLUEPRINT, DEPLOYMENT, EXECUTION, NODE, NODE_INSTANCE
from outrider.manager_stub.system_executions import SYSTEM_WORKFLOWS

routes = APIRouter(tags=["summaries"])

#: Subject, as answers name the count → resource, and the fields to summarize by.
SUBJECTS: Mapping[str, tuple[Resource, frozenset[str]]] = {
    "blueprints": (BLUEPRINT, frozenset({"tenant_name", "visibility", "state"})),
    "deployments": (DEPLOYMENT, frozenset({"blueprint_id", "tenant_name", "visibility"})),
    "nodes": (NODE, frozenset({"deployment_id", "tenant_name", "type"})),
    "node_instances": (
        NODE_INSTANCE,
        frozenset({"deployment_id", "node_id", "state", "host_id", "index", "tenant_name"}),
    ),
    "executions": (
        EXECUTION,
        frozenset({"status", "status_display", "blueprint_id", "deployment_id", "workflow_id", "tenant_name"}),
    ),
}


#: What lists do not show either.
_HIDDEN = {"executions": (EXECUTIONS.c.workflow.not_in(SYSTEM_WORKFLOWS),)}


@routes.get("/summary/blueprints")
def summarize_blueprints(call: Reader, listing: Listing) -> dict[str, Any]:
    """Count blueprints by ``_target_field``, and by ``_sub_field`` below it."""
    return _summary(call, "blueprints", listing)


@routes.get("/summary/deployments")
def summarize_deployments(call: Reader, listing: Listing) -> dict[str, Any]:
    """Count deployments by ``_target_field``, and by ``_sub_field`` below it."""
    return _summary(call, "deployments", listing)


@routes.get("/summary/nodes")
def summarize_nodes(call: Reader, listing: Listing) -> dict[str, Any]:
    """Count nodes by ``_target_field``, and by ``_sub_field`` below it."""
    return _summary(call, "nodes", listing)


@routes.get("/summary/node_instances")
def summarize_node_instances(call: Reader, listing: Listing) -> dict[str, Any]:
    """Count node instances by ``_target_field``, and by ``_sub_field`` below it."""
    return _summary(call, "node_instances", listing)


@routes.get("/summary/executions")
def summarize_executions(call: Reader, listing: Listing) -> dict[str, Any]:
    """Count executions by ``_target_field``, and by ``_sub_field`` below it."""
    return _summary(call, "executions", listing)


def _summary(call: Call, subject: str, listing: ListCall) -> dict[str, Any]:
    resource, fields = SUBJECTS[subject]
    target = _field(listing, "_target_field", fields)
    sub = _field(listing, "_sub_field", fields) if "_sub_field" in listing.flags else None
    chosen = [_column(resource, name) for name in (target, *([sub] if sub else ()))]
    query = (
        sa.select(*chosen, sa.func.count())
        .select_from(resource.table)
        .where(*conditions_of(call, resource, listing), *_HIDDEN.get(subject, ()))
        .group_by(*chosen)
        .order_by(*chosen)
    )
    with call.read() as connection:
        rows = [tuple(row) for row in connection.execute(query)]
    items: dict[Any, dict[str, Any]] = {}
    for value, *below, count in rows:
        item = items.setdefault(value, {target: value, subject: 0})
        item[subject] += count
        if sub:
            item.setdefault(f"by {sub}", []).append({sub: below[0], subject: count})
    return slice_of(list(items.values()), listing)


def _field(listing: ListCall, name: str, fields: frozenset[str]) -> str:
    field = listing.flags.get(name, "")
    if field not in fields:
        raise BadRequest(f"{name} is {field[:40]!r}: it must be one of {', '.join(sorted(fields))}")
    return field


def _column(resource: Resource, name: str) -> sa.ColumnElement[Any]:
    # A status and how it is displayed differ in one word, and are grouped alike.
    return resource.columns["status" if name == "status_display" else name]
