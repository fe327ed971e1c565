"""Task graphs of workflows that run elsewhere, kept for them: clients of the REST API write them, the engine does not.

What the dispatcher plans and runs itself is in `store.graphs` and `store.tasks`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.errors import NotFound
from outrider.dispatcher.store import jsontext
from outrider.dispatcher.store.database import insert_new
from outrider.dispatcher.store.schema import OUTSIDE_GRAPHS, OUTSIDE_OPERATIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideGraph:
    """A row."""

    id: str
    execution_id: str
    name: str
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideOperation:
    """A row."""

    id: str
    graph_id: str
    execution_id: str
    position: int
    name: str
    type: str
    state: str = "pending"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    dependencies: tuple[str, ...] = ()
    outcome: Mapping[str, Any] = field(default_factory=dict)
    created_at: float = 0.0


_JSON = ("parameters", "dependencies", "outcome")


def insert_graph(connection: Connection, graph: OutsideGraph) -> None:
    """Store a graph; raises `AlreadyExists`."""
    row = {name: getattr(graph, name) for name in OutsideGraph.__dataclass_fields__}
    insert_new(connection, OUTSIDE_GRAPHS, row, kind="tasks graph", name=graph.id)


def get_graph(connection: Connection, graph_id: str) -> OutsideGraph:
    """Return one graph; raises `NotFound`."""
    row = connection.execute(sa.select(OUTSIDE_GRAPHS).where(OUTSIDE_GRAPHS.c.id == graph_id)).one_or_none()
    if row is None:
        raise NotFound("tasks graph", graph_id)
    return OutsideGraph(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping


def graphs_of(connection: Connection, execution_id: str) -> list[OutsideGraph]:
    """Return an execution's graphs, oldest first."""
    table = OUTSIDE_GRAPHS.c
    query = sa.select(OUTSIDE_GRAPHS).where(table.execution_id == execution_id).order_by(table.created_at, table.id)
    return [OutsideGraph(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - as above


def insert(connection: Connection, operations: Sequence[OutsideOperation]) -> None:
    """Store new operations; raises `AlreadyExists` if an id is taken."""
    if not operations:
        return
    named = operations[0].id if len(operations) == 1 else f"{operations[0].id} …"
    insert_new(connection, OUTSIDE_OPERATIONS, [_row(each) for each in operations], kind="operation", name=named)


def size_of(connection: Connection, graph_id: str) -> int:
    """Return the position that the next operation of a graph gets."""
    table = OUTSIDE_OPERATIONS.c
    newest = connection.execute(sa.select(sa.func.max(table.position)).where(table.graph_id == graph_id)).scalar_one()
    return 0 if newest is None else int(newest) + 1


def find(connection: Connection, operation_id: str, *, lock: bool = False) -> OutsideOperation | None:
    """Return one operation, if there is one of this id; `lock`: until the transaction's end."""
    query = sa.select(OUTSIDE_OPERATIONS).where(OUTSIDE_OPERATIONS.c.id == operation_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _record(row)


def of_graph(connection: Connection, graph_id: str) -> list[OutsideOperation]:
    """Return a graph's operations in the order of their storing."""
    return _listed(connection, OUTSIDE_OPERATIONS.c.graph_id == graph_id)


def of_execution(connection: Connection, execution_id: str) -> list[OutsideOperation]:
    """Return an execution's operations, graph by graph."""
    return _listed(connection, OUTSIDE_OPERATIONS.c.execution_id == execution_id)


def update(
    connection: Connection, operation: OutsideOperation, *, state: str | None, outcome: Mapping[str, Any]
) -> OutsideOperation:
    """Store how an operation stands, which was read with a lock: one of two reporters of an end is the first."""
    stands = replace(operation, state=state or operation.state, outcome={**operation.outcome, **outcome})
    statement = sa.update(OUTSIDE_OPERATIONS).where(OUTSIDE_OPERATIONS.c.id == operation.id)
    connection.execute(statement.values(state=stands.state, outcome=jsontext.dump(stands.outcome)))
    return stands


def delete(connection: Connection, operation_id: str) -> None:
    """Forget an operation."""
    connection.execute(sa.delete(OUTSIDE_OPERATIONS).where(OUTSIDE_OPERATIONS.c.id == operation_id))


def _listed(connection: Connection, condition: sa.ColumnElement[bool]) -> list[OutsideOperation]:
    table = OUTSIDE_OPERATIONS.c
    query = sa.select(OUTSIDE_OPERATIONS).where(condition).order_by(table.created_at, table.graph_id, table.position)
    return [_record(row) for row in connection.execute(query)]


def _row(operation: OutsideOperation) -> dict[str, Any]:
    row = {name: getattr(operation, name) for name in OutsideOperation.__dataclass_fields__}
    return row | {name: jsontext.dump(row[name]) for name in _JSON}


def _record(row: Row[Any]) -> OutsideOperation:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    values |= {name: jsontext.load(values[name]) for name in _JSON}
    values["dependencies"] = tuple(values["dependencies"])
    return OutsideOperation(**values)
