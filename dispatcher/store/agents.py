"""Agents as the dispatchers know them: last heartbeat, journal epoch, and whether that journal is trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.errors import NotFound
from outrider.dispatcher.store import jsontext
from outrider.dispatcher.store.database import upsert
from outrider.dispatcher.store.schema import AGENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A row."""

    id: str
    tenant: str = "default_tenant"
    state: str = "started"
    deployment_id: str | None = None
    instance: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    heartbeat: Mapping[str, Any] | None = None
    last_seen_at: float | None = None
    journal_epoch: str | None = None
    journal_sequence: int = 0
    fenced: str | None = None
    created_at: float = 0.0


def get(connection: Connection, agent_id: str) -> Agent:
    """Return one agent; raises `NotFound`."""
    row = connection.execute(sa.select(AGENTS).where(AGENTS.c.id == agent_id)).one_or_none()
    if row is None:
        raise NotFound("agent", agent_id)
    return _record(row)


def by_ids(connection: Connection, ids: Sequence[str], *, lock: bool = False) -> dict[str, Agent]:
    """Return the agents of `ids` that are known; `lock`: until the transaction's end (SQLite: it has the only one)."""
    if not ids:
        return {}
    query = _BY_IDS_LOCKED if lock else _BY_IDS
    return {row.id: _record(row) for row in connection.execute(query, {"ids": list(ids)})}


_BY_IDS = sa.select(AGENTS).where(AGENTS.c.id.in_(sa.bindparam("ids", expanding=True)))
#: Always in the same order, so that two dispatchers cannot wait for each other.
_BY_IDS_LOCKED = _BY_IDS.order_by(AGENTS.c.id).with_for_update()


def listed(connection: Connection, *, tenant: str | None = None) -> list[Agent]:
    """Return all agents by name."""
    query = sa.select(AGENTS).order_by(AGENTS.c.id)
    if tenant is not None:
        query = query.where(AGENTS.c.tenant == tenant)
    return [_record(row) for row in connection.execute(query)]


def save(connection: Connection, agent: Agent) -> None:
    """Insert or replace an agent."""
    row = {name: getattr(agent, name) for name in Agent.__dataclass_fields__}
    row["details"] = jsontext.dump(agent.details)
    row["heartbeat"] = None if agent.heartbeat is None else jsontext.dump(agent.heartbeat)
    upsert(connection, AGENTS, row, keys=("id",))


def delete(connection: Connection, agent_id: str) -> None:
    """Forget an agent."""
    connection.execute(sa.delete(AGENTS).where(AGENTS.c.id == agent_id))


def delete_of_instance(connection: Connection, deployment: tuple[str, str], instance: str) -> None:
    """Forget the agent of a node instance; `deployment` is (tenant, id)."""
    connection.execute(sa.delete(AGENTS).where(_is_of(deployment, instance)))


def release_of_instance(connection: Connection, deployment: tuple[str, str], instance: str) -> None:
    """Keep the agent of a node instance as one that belongs to no deployment."""
    connection.execute(sa.update(AGENTS).where(_is_of(deployment, instance)).values(deployment_id=None, instance=None))


def _is_of(deployment: tuple[str, str], instance: str) -> sa.ColumnElement[bool]:
    tenant, deployment_id = deployment
    return sa.and_(AGENTS.c.tenant == tenant, AGENTS.c.deployment_id == deployment_id, AGENTS.c.instance == instance)


def _record(row: Row[Any]) -> Agent:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    values["details"] = jsontext.load(values["details"])
    values["heartbeat"] = jsontext.load(values["heartbeat"])
    return Agent(**values)
