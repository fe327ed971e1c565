"""Many rows through one statement, at the driver's speed: the engine's way to write.

SQLAlchemy prepares each row of an executemany on its own, which costs as much as SQLite itself. The engine's rows are
plain values already (text, numbers, bytes), so each statement is compiled once per dialect and the rows go to the
driver as they are.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, CursorResult

_Statement = sa.Insert | sa.Update | sa.Select[Any]
#: The statement itself is kept, so that its id is not given to another one.
_Compiled = tuple[_Statement, str, tuple[str, ...] | None, Mapping[str, Any]]

_compiled: dict[tuple[int, str, tuple[str, ...]], _Compiled] = {}


def write(connection: Connection, statement: _Statement, rows: Sequence[Mapping[str, Any]]) -> None:
    """Run a module's constant `statement` for rows that all have the same keys."""
    if not rows:
        return
    text, order, fixed = _text_of(connection, statement, rows[0])
    parameters: Any
    if order is None:
        parameters = [{**fixed, **row} for row in rows]
    else:
        # One name alone would give a value instead of a tuple.
        pick: Any = operator.itemgetter(*order) if len(order) > 1 else lambda row: (row[order[0]],)
        parameters = [pick({**fixed, **row}) for row in rows] if fixed else [pick(row) for row in rows]
    connection.exec_driver_sql(text, parameters)


def run(connection: Connection, statement: _Statement, values: Mapping[str, Any]) -> CursorResult[Any]:
    """Run a module's constant `statement` once; rows come as the driver gives them (a truth value may be a number)."""
    text, order, fixed = _text_of(connection, statement, values)
    bound = {**fixed, **values}
    return connection.exec_driver_sql(text, bound if order is None else tuple(bound[name] for name in order))


def _text_of(
    connection: Connection, statement: _Statement, row: Mapping[str, Any]
) -> tuple[str, tuple[str, ...] | None, Mapping[str, Any]]:
    key = id(statement), connection.dialect.name, tuple(row)
    known = _compiled.get(key)
    if known is None:
        known = _compiled[key] = _compile(connection, statement, list(row))
    return known[1:]


def _compile(connection: Connection, statement: _Statement, keys: list[str]) -> _Compiled:
    columns = keys if isinstance(statement, sa.Insert) else None
    compiled = statement.compile(dialect=connection.dialect, column_keys=columns)
    positions: Sequence[str] | None = getattr(compiled, "positiontup", None)
    order = None if positions is None else tuple(positions)
    fixed = {name: value for name, value in compiled.params.items() if name not in keys}
    return statement, str(compiled), order, fixed
