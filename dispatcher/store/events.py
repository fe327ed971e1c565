"""Events and log lines: append-only, in the order of their storing."""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.store import bulk, jsontext
from outrider.dispatcher.store.database import insert_ignoring_duplicates
from outrider.dispatcher.store.schema import EVENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A row. Either `event_type` (an event) or `level` (a log line) is set."""

    message: str
    happened_at: float
    tenant: str = "default_tenant"
    execution_id: str | None = None
    deployment_id: str | None = None
    workflow: str | None = None
    event_type: str | None = None
    level: str | None = None
    logger: str | None = None
    operation: str | None = None
    node: str | None = None
    instance: str | None = None
    target_instance: str | None = None
    causes: tuple[Mapping[str, Any], ...] | None = None
    attempt_id: str | None = None
    sequence: int | None = None
    id: int = 0
    stored_at: float = 0.0


_FIELDS = tuple(name for name in Event.__dataclass_fields__ if name not in ("id", "stored_at"))
#: A row of which nothing is known yet; `message`, `tenant`, `happened_at` and `stored_at` have to be given.
BLANK: Mapping[str, Any] = dict.fromkeys((*_FIELDS, "stored_at"))
_VALUES_OF = operator.attrgetter(*_FIELDS)

#: Plugins may give these any name; on PostgreSQL, one that its column does not hold would fail everybody's transaction.
_LENGTHS = {"level": 20, "event_type": 40}

_INSERT = sa.insert(EVENTS)


def append(connection: Connection, events: Sequence[Event], *, now: float) -> None:
    """Store events; a record of an attempt that is stored already is left out."""
    numbered = [_row(event, now) for event in events if event.sequence is not None]
    append_rows(connection, [_row(event, now) for event in events if event.sequence is None])
    insert_ignoring_duplicates(connection, EVENTS, numbered)


def append_rows(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store the engine's own events, which it makes for every operation, each from `BLANK`."""
    bulk.write(connection, _INSERT, rows)


def after(
    connection: Connection,
    last_id: int,
    *,
    execution_id: str | None = None,
    execution_ids: Collection[str] | None = None,
    limit: int = 1000,
) -> list[Event]:
    """Return what was stored after the event `last_id`, oldest first: of all executions, of one, or of several."""
    query = sa.select(EVENTS).where(EVENTS.c.id > last_id)
    if execution_id is not None:
        query = query.where(EVENTS.c.execution_id == execution_id)
    if execution_ids is not None:
        query = query.where(EVENTS.c.execution_id.in_(execution_ids))
    return [_record(row) for row in connection.execute(query.order_by(EVENTS.c.id).limit(limit))]


def last_id(connection: Connection, execution_id: str) -> int:
    """Return the id of an execution's newest event; 0 if it has none."""
    newest = sa.select(sa.func.max(EVENTS.c.id)).where(EVENTS.c.execution_id == execution_id)
    return int(connection.execute(newest).scalar_one() or 0)


def storable(message: str) -> str:
    """Return a message as every store takes it: PostgreSQL's text has no NUL."""
    return message.replace("\0", "\ufffd") if "\0" in message else message


def _row(event: Event, now: float) -> dict[str, Any]:
    row: dict[str, Any] = dict(zip(_FIELDS, _VALUES_OF(event), strict=True))
    row["message"] = storable(event.message)
    for name, most in _LENGTHS.items():
        row[name] = row[name] and row[name][:most]
    if event.causes is not None:
        row["causes"] = jsontext.dump(event.causes)
    row["stored_at"] = now
    return row


def _record(row: Row[Any]) -> Event:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    causes = jsontext.load(values["causes"])
    values["causes"] = None if causes is None else tuple(causes)
    return Event(**values)
