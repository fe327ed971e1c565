"""Lists filtered by rules in the body: on labels and on attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter
from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.store import jsontext
from outrider.manager_stub.bodies import SearchBody
from outrider.manager_stub.calls import Call, Reader
from outrider.manager_stub.errors import BadRequest
from outrider.manager_stub.listing import ListCall, Listing
from outrider.manager_stub.resource import Resource, fetch_page
from outrider.manager_stub.resources import BLUEPRINT, DEPLOYMENT, NODE, NODE_INSTANCE, SECRET

routes = APIRouter(tags=["searches"])

Rule = Mapping[str, Any]


@routes.post("/searches/blueprints")
def search_blueprints(call: Reader, body: SearchBody, listing: Listing) -> dict[str, Any]:
    """List blueprints by rules."""
    return _search(call, BLUEPRINT, body, listing)


@routes.post("/searches/deployments")
def search_deployments(call: Reader, body: SearchBody, listing: Listing) -> dict[str, Any]:
    """List deployments by rules."""
    return _search(call, DEPLOYMENT, body, listing)


@routes.post("/searches/nodes")
def search_nodes(call: Reader, body: SearchBody, listing: Listing) -> dict[str, Any]:
    """List nodes by rules."""
    return _search(call, NODE, body, listing)


@routes.post("/searches/node-instances")
def search_node_instances(call: Reader, body: SearchBody, listing: Listing) -> dict[str, Any]:
    """List node instances by rules."""
    return _search(call, NODE_INSTANCE, body, listing)


@routes.post("/searches/secrets")
def search_secrets(call: Reader, body: SearchBody, listing: Listing) -> dict[str, Any]:
    """List secrets by rules."""
    return _search(call, SECRET, body, listing)


def _search(call: Call, resource: Resource, body: SearchBody, listing: ListCall) -> dict[str, Any]:
    rules: Sequence[Rule] = body.filter_rules or ()
    where = [_attribute(resource, rule) for rule in rules if rule.get("type", "label") == "attribute"]
    labels = [rule for rule in rules if rule.get("type", "label") == "label"]
    if labels:
        with call.read() as connection:
            where.append(_labelled(connection, resource, labels))
    return fetch_page(call, resource, listing, where=where)


def _attribute(resource: Resource, rule: Rule) -> sa.ColumnElement[bool]:
    column = resource.columns.get(str(rule.get("key")))
    values = [str(value) for value in rule.get("values") or ()]
    operators: Mapping[str, Callable[[Any], sa.ColumnElement[bool]]] = {
        "any_of": lambda found: found.in_(values),
        "not_any_of": lambda found: sa.not_(found.in_(values)),
        "contains": lambda found: sa.or_(sa.false(), *(found.contains(each, autoescape=True) for each in values)),
        "not_contains": lambda found: sa.not_(
            sa.or_(sa.false(), *(found.contains(each, autoescape=True) for each in values))
        ),
        "starts_with": lambda found: sa.or_(sa.false(), *(found.startswith(each, autoescape=True) for each in values)),
        "ends_with": lambda found: sa.or_(sa.false(), *(found.endswith(each, autoescape=True) for each in values)),
        "is_not_empty": lambda found: sa.and_(found.is_not(None), found != ""),
    }
    operator = operators.get(str(rule.get("operator")))
    if column is None or operator is None:
        raise BadRequest(
            f"this rule cannot be followed: {dict(rule)}; attributes: {', '.join(sorted(resource.columns))}; "
            f"operators: {', '.join(operators)}",
            code="invalid_filter_rule",
        )
    return operator(column)


def _labelled(connection: Connection, resource: Resource, rules: Sequence[Rule]) -> sa.ColumnElement[bool]:
    """Return the condition for the rows whose labels follow all rules."""
    if "details" not in resource.table.c:
        raise BadRequest(f"{resource.kind}s have no labels", code="invalid_filter_rule")
    table = resource.table
    name = resource.columns[resource.key]
    rows: list[Row[Any]] = list(connection.execute(sa.select(table.c.tenant, name.label("name"), table.c.details)))
    keys = [(row.tenant, row.name) for row in rows if _follows(jsontext.load(row.details).get("labels") or {}, rules)]
    return sa.tuple_(table.c.tenant, name).in_(keys) if keys else sa.false()


def _follows(labels: Mapping[str, list[str]], rules: Sequence[Rule]) -> bool:
    return all(_follows_one(labels, rule) for rule in rules)


def _follows_one(labels: Mapping[str, list[str]], rule: Rule) -> bool:
    found = set(labels.get(str(rule.get("key")).lower(), ()))
    wanted = {str(value) for value in rule.get("values") or ()}
    operators = {
        "any_of": bool(found & wanted),
        "not_any_of": bool(found) and not found & wanted,
        "is_null": not found,
        "is_not_null": bool(found),
        "is_not": not found & wanted,
    }
    name = str(rule.get("operator"))
    if name not in operators:
        raise BadRequest(
            f"labels have no operator {name!r}; known are: {', '.join(operators)}", code="invalid_filter_rule"
        )
    return operators[name]
