"""The one mechanism behind all list calls: a `Resource` describes a table's face, `fetch_page` and `fetch_one` read it.

A resource says which wire fields can be filtered and sorted by (they have a column), which one `_search` looks into,
who may see a row, and how rows become wire objects: page-wise, so that what needs further queries needs one per page.
"""

from __future__ import annotations

import functools
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from outrider.manager_stub.access import Caller
from outrider.manager_stub.details import Detail
from outrider.manager_stub.errors import BadRequest, Missing
from outrider.manager_stub.listing import LARGEST_PAGE, ListCall, only, page_of

#: (connection, rows of a page, the call) → wire objects, in the same order.
Shape = Callable[[Connection, Sequence[Row[Any]], ListCall], list[dict[str, Any]]]
Where = Sequence[sa.ColumnElement[bool]]

#: No column holds a larger number, and drivers refuse to send one.
_LARGEST = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One kind of thing that can be listed."""

    #: As errors name it: ``deployment``.
    kind: str
    table: sa.Table
    #: Wire field → column that it is filtered and sorted by.
    columns: Mapping[str, sa.ColumnElement[Any]]
    shape: Shape
    #: Wire field that identifies one, and that `_search` looks into.
    key: str = "id"
    search: str | None = None
    #: Order of rows that are otherwise equal; makes pages stable.
    order: Sequence[sa.ColumnElement[Any]] = ()
    #: Whether `details` says who may see a row.
    visibility: bool = False
    #: Wire fields whose text is matched with % and _ as wildcards.
    patterns: frozenset[str] = field(default_factory=frozenset)
    #: Wire filter → condition, for what no single column answers.
    conditions: Mapping[str, Callable[[Sequence[str]], sa.ColumnElement[bool]]] = field(default_factory=dict)

    def records(self, rows: Iterable[Sequence[Any]]) -> list[Any]:
        """Return whole rows of the table as named tuples: their attributes cost a twentieth of those of `Row`."""
        return list(map(_record_type(self.table)._make, rows))


class Reading(Protocol):
    """What lists need of a call: who asks, and the store."""

    @property
    def caller(self) -> Caller:
        """Who asks."""
        ...

    def read(self) -> AbstractContextManager[Connection]:
        """Open a reading transaction."""
        ...


@functools.cache
def _record_type(table: sa.Table) -> Any:
    return namedtuple(f"{table.name}_record", table.c.keys())


@dataclass(frozen=True, kw_only=True)
class Statements:
    """What a list call asks the store, for any of its pages."""

    #: With the parameters `page_limit` and `page_offset`.
    page: sa.Select[Any]
    count: sa.Select[Any]


def fetch_page(call: Reading, resource: Resource, listing: ListCall, *, where: Where = ()) -> dict[str, Any]:
    """Return one page as the list envelope; raises BadRequest for unknown fields."""
    return read_page(call, resource, listing, statements=statements_of(call, resource, listing, where=where))


def statements_of(call: Reading, resource: Resource, listing: ListCall, *, where: Where = ()) -> Statements:
    """Return what the store is asked: the same for all pages of a list call; raises BadRequest."""
    conditions = [*conditions_of(call, resource, listing), *where]
    rows = sa.select(resource.table).where(*conditions).order_by(*_order(resource, listing))
    limit, offset = (sa.bindparam(name, type_=sa.BigInteger()) for name in ("page_limit", "page_offset"))
    count = sa.select(sa.func.count()).select_from(resource.table).where(*conditions)
    return Statements(page=rows.limit(limit).offset(offset), count=count)


def read_page(call: Reading, resource: Resource, listing: ListCall, *, statements: Statements) -> dict[str, Any]:
    """Return one page as the list envelope; raises BadRequest for unknown fields in `_include`."""
    limit = LARGEST_PAGE * 100 if listing.all_results else listing.size
    with call.read() as connection:
        found = connection.execute(statements.page, {"page_limit": limit, "page_offset": listing.offset}).all()
        rows = resource.records(found)
        total = listing.offset + len(rows)
        if len(rows) == limit or (not rows and listing.offset):
            total = connection.execute(statements.count).scalar_one()
        items = resource.shape(connection, rows, listing)
    return page_of([only(item, listing.include) for item in items], total, listing)


def conditions_of(call: Reading, resource: Resource, listing: ListCall) -> list[sa.ColumnElement[bool]]:
    """Return what a row must fulfil to be seen by the caller and meant by the filters; raises BadRequest."""
    seen = _seen_by(resource, call.caller, all_tenants=listing.all_tenants)
    return [*seen, *_filters(resource, listing)]


def fetch_one(
    call: Reading,
    resource: Resource,
    name: str,
    *,
    listing: ListCall | None = None,
    connection: Connection | None = None,
) -> dict[str, Any]:
    """Return one wire object that the caller may see; raises Missing."""
    asked = listing or ListCall()
    if connection is None:
        with call.read() as opened:
            return fetch_one(call, resource, name, listing=asked, connection=opened)
    row = _row(connection, resource, call.caller, name, all_tenants=asked.all_tenants)
    return only(resource.shape(connection, [row], asked)[0], asked.include)


def own_row(connection: Connection, call: Reading, resource: Resource, name: str) -> Row[Any]:
    """Return the row of the caller's own tenant, to be changed; raises Missing."""
    return _row(connection, resource, call.caller, name, own=True)


def _row(
    connection: Connection,
    resource: Resource,
    caller: Caller,
    name: str,
    *,
    all_tenants: bool = False,
    own: bool = False,
) -> Row[Any]:
    conditions = _seen_by(resource, caller, all_tenants=all_tenants)
    own_first = sa.case((resource.table.c.tenant == caller.tenant, 0), else_=1)
    query = sa.select(resource.table).where(resource.columns[resource.key] == name, *conditions)
    if own:
        query = query.where(resource.table.c.tenant == caller.tenant)
    row = connection.execute(query.order_by(own_first).limit(1)).one_or_none()
    if row is None:
        raise Missing(resource.kind, name)
    return row


def _seen_by(resource: Resource, caller: Caller, *, all_tenants: bool) -> list[sa.ColumnElement[bool]]:
    tenant = resource.table.c.tenant
    mine = tenant.in_(caller.tenants) if all_tenants else tenant == caller.tenant
    if not resource.visibility:
        return [mine]
    visibility = Detail(resource.table, "visibility")
    conditions = [sa.or_(mine, visibility == "global")]
    if not caller.is_admin:
        private = sa.and_(visibility == "private", Detail(resource.table, "created_by") != caller.user)
        conditions.append(sa.func.coalesce(sa.not_(private), sa.true()))
    return conditions


def _filters(resource: Resource, listing: ListCall) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    for name, values in listing.filters.items():
        if name in resource.conditions:
            conditions.append(resource.conditions[name](values))
        elif name in resource.columns:
            conditions.append(_equals(resource, name, values))
        else:
            known = ", ".join(sorted({*resource.columns, *resource.conditions}))
            raise BadRequest(f"{resource.kind}s cannot be filtered by {name!r}; they can be by: {known}")
    if listing.search and resource.search:
        conditions.append(resource.columns[resource.search].contains(listing.search, autoescape=True))
    return conditions


def _equals(resource: Resource, name: str, values: Sequence[str]) -> sa.ColumnElement[bool]:
    column = resource.columns[name]
    if name in resource.patterns:
        return sa.or_(*(column.ilike(value) for value in values))
    return column.in_([_typed(column, name, value) for value in values])


def _typed(column: sa.ColumnElement[Any], name: str, value: str) -> Any:
    """Return a query's text as what the column holds; PostgreSQL compares nothing else."""
    try:
        if isinstance(column.type, sa.Boolean):
            return value.lower() == "true"
        if isinstance(column.type, sa.Integer):
            return max(-_LARGEST, min(int(value), _LARGEST))
        if isinstance(column.type, sa.Float):
            return float(value)
    except ValueError as error:
        raise BadRequest(f"{name} is a number, not {value[:40]!r}") from error
    return value


def _order(resource: Resource, listing: ListCall) -> list[sa.ColumnElement[Any]]:
    found: dict[sa.ColumnElement[Any], sa.ColumnElement[Any]] = {}
    descending = False
    for text in listing.sort:
        descending = text.startswith("-")
        name = text.lstrip("-+").lstrip("@")
        if name.startswith("label:"):
            continue  # labels have no order of their own
        if name not in resource.columns:
            raise BadRequest(f"{resource.kind}s cannot be sorted by {name!r}")
        column = resource.columns[name]
        found.setdefault(column, column.desc() if descending else column.asc())
    for tie in resource.order or (resource.columns[resource.key],):
        found.setdefault(tie, tie.desc() if descending else tie.asc())
    return list(found.values())
