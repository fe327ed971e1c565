"""The audit log: who asked the REST API to change what, and how it was answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outrider.dispatcher.store.schema import AUDIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A row."""

    at: float
    user: str
    tenant: str | None
    address: str
    method: str
    path: str
    status: int
    #: The execution whose token was used; `user` started it.
    execution_id: str | None = None
    id: int = 0


def append(connection: Connection, entries: Sequence[Entry]) -> None:
    """Store entries."""
    names = [name for name in Entry.__dataclass_fields__ if name != "id"]
    if entries:
        connection.execute(sa.insert(AUDIT), [{name: getattr(entry, name) for name in names} for entry in entries])


def listed(connection: Connection, *, limit: int, offset: int = 0) -> list[Entry]:
    """Return entries, newest first."""
    rows = connection.execute(sa.select(AUDIT).order_by(AUDIT.c.id.desc()).limit(limit).offset(offset))
    return [Entry(**row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
