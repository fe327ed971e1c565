"""What people decided about executions: who, when, what. Append-only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outrider.dispatcher.store import jsontext
from outrider.dispatcher.store.schema import DECISIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A row."""

    execution_id: str
    decision: str
    decided_by: str
    task_id: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    decided_at: float = 0.0


def append(connection: Connection, decision: Decision, *, now: float) -> None:
    """Store a decision."""
    row = {name: getattr(decision, name) for name in Decision.__dataclass_fields__}
    row |= {"payload": jsontext.dump(decision.payload), "decided_at": now}
    connection.execute(sa.insert(DECISIONS), row)


def of_execution(connection: Connection, execution_id: str) -> list[Decision]:
    """Return the decisions about one execution, oldest first."""
    query = sa.select(DECISIONS).where(DECISIONS.c.execution_id == execution_id).order_by(DECISIONS.c.id)
    found = []
    for row in connection.execute(query):
        values = {name: row._mapping[name] for name in Decision.__dataclass_fields__}  # noqa: SLF001 - public, see above
        found.append(Decision(**{**values, "payload": jsontext.load(values["payload"])}))
    return found
