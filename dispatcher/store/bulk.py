"""The statements of every turn, at the driver's speed: the engine's way to write, and to read what is always read.

SQLAlchemy's work on a statement and its result costs several times what SQLite needs for it. The engine's rows are
plain values already (text, numbers, bytes), so each statement is compiled once per dialect, and the rows go to the
driver's cursor, inside SQLAlchemy's transaction, and come from there as they are.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

_Statement = sa.Insert | sa.Update | sa.Select[Any]
#: The statement itself is kept, so that its id is not given to another one.
_Compiled = tuple[_Statement, str, tuple[str, ...] | None, Mapping[str, Any]]

_compiled: dict[tuple[int, str, tuple[str, ...]], _Compiled] = {}
#: Rows of one INSERT on SQLite, for which each statement costs a quarter of what it takes to store a short row. Times
#: the columns of the widest table, this stays below the 999 parameters that old releases of SQLite take.
_TOGETHER = 32


def write(connection: Connection, statement: _Statement, rows: Sequence[Mapping[str, Any]]) -> None:
    """Run a module's constant `statement` for rows that all have the same keys."""
    if not rows:
        return
    text, order, fixed = _text_of(connection, statement, rows[0])
    if order is None:
        _in_transaction(connection, text, [{**fixed, **row} for row in rows], many=True)
        return
    # One name alone would give a value instead of a tuple.
    pick: Any = operator.itemgetter(*order) if len(order) > 1 else lambda row: (row[order[0]],)
    positional = [pick({**fixed, **row}) for row in rows] if fixed else [pick(row) for row in rows]
    if isinstance(statement, sa.Insert):
        positional = _insert_together(connection, text, positional)
    if positional:
        _in_transaction(connection, text, positional, many=True)


def _insert_together(connection: Connection, text: str, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Insert as many rows as fill whole statements of `_TOGETHER`, in their order; return the others."""
    whole = len(rows) - len(rows) % _TOGETHER
    if whole:
        head, _, values = text.rpartition(" VALUES ")
        together = f"{head} VALUES {', '.join([values] * _TOGETHER)}"
        flat = itertools.chain.from_iterable(rows[:whole])
        parameters = list(zip(*[flat] * (_TOGETHER * len(rows[0])), strict=True))
        _in_transaction(connection, together, parameters, many=True)
    return rows[whole:]


def row(connection: Connection, statement: sa.Select[Any], values: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Return the first row of a module's constant `statement`, as the driver has it: a truth value may be a number."""
    found = rows(connection, statement, values)
    return found[0] if found else None


def rows(connection: Connection, statement: sa.Select[Any], values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Return all rows of a module's constant `statement`, as the driver has them (see `row`)."""
    text, parameters = _bound(connection, statement, values)
    found: list[tuple[Any, ...]] = _in_transaction(connection, text, parameters, read=True)[1]
    return found


def change(connection: Connection, statement: sa.Update, values: Mapping[str, Any]) -> int:
    """Run a module's constant `statement` once; return how many rows it matched."""
    text, parameters = _bound(connection, statement, values)
    return _in_transaction(connection, text, parameters)[0]


def begin(connection: Connection, text: str) -> None:
    """Run the statement that begins a transaction, from within SQLAlchemy's beginning of it."""
    _run(connection, text, ())


def _in_transaction(
    connection: Connection, text: str, parameters: Any, *, many: bool = False, read: bool = False
) -> tuple[int, list[tuple[Any, ...]]]:
    """Do as `_run` in this connection's transaction."""
    if not connection.in_transaction():
        # One that only reads begins with its first statement; SQLAlchemy would not see that it is this one.
        connection.begin()
    return _run(connection, text, parameters, many=many, read=read)


def _run(
    connection: Connection, text: str, parameters: Any, *, many: bool = False, read: bool = False
) -> tuple[int, list[tuple[Any, ...]]]:
    """Run on the driver's cursor; return how many rows were matched, and the rows if they are to be `read`.

    The driver's errors become SQLAlchemy's, as everywhere else.
    """
    cursor = connection.connection.cursor()
    try:
        (cursor.executemany if many else cursor.execute)(text, parameters)
        return cursor.rowcount, list(cursor.fetchall()) if read else []
    except _driver(connection).Error as error:
        lost = connection.dialect.is_disconnect(error, connection.connection, cursor)
        raise DBAPIError.instance(
            text, None, error, _driver(connection).Error, connection_invalidated=lost, dialect=connection.dialect
        ) from error
    finally:
        cursor.close()


def _driver(connection: Connection) -> Any:
    return connection.dialect.loaded_dbapi


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
