"""The statements of every turn, at the driver's speed: the engine's way to write, and to read what is always read.

SQLAlchemy's work on a statement and its result costs several times what SQLite needs for it. The engine's rows are
plain values already (text, numbers, bytes), so each statement is compiled once per dialect, and the rows go to the
driver's cursor, inside SQLAlchemy's transaction, and come from there as they are.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError

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
    with _cursor(connection, text) as cursor:
        cursor.executemany(text, parameters)


def row(connection: Connection, statement: sa.Select[Any], values: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Return the first row of a module's constant `statement`, as the driver has it: a truth value may be a number."""
    text, parameters = _bound(connection, statement, values)
    with _cursor(connection, text) as cursor:
        cursor.execute(text, parameters)
        found: tuple[Any, ...] | None = cursor.fetchone()
        return found


def rows(connection: Connection, statement: sa.Select[Any], values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Return all rows of a module's constant `statement`, as the driver has them (see `row`)."""
    text, parameters = _bound(connection, statement, values)
    with _cursor(connection, text) as cursor:
        cursor.execute(text, parameters)
        found: list[tuple[Any, ...]] = list(cursor.fetchall())
        return found


def change(connection: Connection, statement: sa.Update, values: Mapping[str, Any]) -> int:
    """Run a module's constant `statement` once; return how many rows it matched."""
    text, parameters = _bound(connection, statement, values)
    with _cursor(connection, text) as cursor:
        cursor.execute(text, parameters)
        return int(cursor.rowcount)


@contextlib.contextmanager
def _cursor(connection: Connection, text: str) -> Iterator[DBAPICursor]:
    """The driver's cursor in this connection's transaction; its errors become SQLAlchemy's, as everywhere else."""
    if not connection.in_transaction():
        # One that only reads begins with its first statement; SQLAlchemy would not see that it is this one.
        connection.begin()
    cursor = connection.connection.cursor()
    driver: Any = connection.dialect.loaded_dbapi
    try:
        yield cursor
    except driver.Error as error:
        lost = connection.dialect.is_disconnect(error, connection.connection, cursor)
        raise DBAPIError.instance(
            text, None, error, driver.Error, connection_invalidated=lost, dialect=connection.dialect
        ) from error
    finally:
        cursor.close()


def _bound(
    connection: Connection, statement: _Statement, values: Mapping[str, Any]
) -> tuple[str, Mapping[str, Any] | tuple[Any, ...]]:
    text, order, fixed = _text_of(connection, statement, values)
    bound = {**fixed, **values}
    return text, bound if order is None else tuple(bound[name] for name in order)


def _text_of(
    connection: Connection, statement: _Statement, values: Mapping[str, Any]
) -> tuple[str, tuple[str, ...] | None, Mapping[str, Any]]:
    key = id(statement), connection.dialect.name, tuple(values)
    known = _compiled.get(key)
    if known is None:
        known = _compiled[key] = _compile(connection, statement, list(values))
    return known[1:]


def _compile(connection: Connection, statement: _Statement, keys: list[str]) -> _Compiled:
    columns = keys if isinstance(statement, sa.Insert) else None
    compiled = statement.compile(dialect=connection.dialect, column_keys=columns)
    positions: Sequence[str] | None = getattr(compiled, "positiontup", None)
    order = None if positions is None else tuple(positions)
    fixed = {name: value for name, value in compiled.params.items() if name not in keys}
    return statement, str(compiled), order, fixed
