"""Who runs which execution: dispatchers' leases, claims and adoptions, all by the database's clock.

A dispatcher renews one lease, its own row. An execution belongs to the dispatcher named in it, under an epoch that
rises with every claim: a dispatcher that slept through the end of its lease finds that its writes match no row.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outrider.dispatcher.store import bulk, tokens
from outrider.dispatcher.store.database import upsert
from outrider.dispatcher.store.executions import ACTIVE, Status, is_active, try_lock_deployment
from outrider.dispatcher.store.schema import DISPATCHERS, EXECUTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A dispatcher process."""

    id: str
    host: str
    version: str
    started_at: float
    lease_until: float


def renew(connection: Connection, member: Member) -> None:
    """Store the lease of one dispatcher."""
    row = {name: getattr(member, name) for name in Member.__dataclass_fields__}
    upsert(connection, DISPATCHERS, row, keys=("id",))


def members(connection: Connection) -> list[Member]:
    """Return all dispatchers that have not said goodbye."""
    rows = connection.execute(sa.select(DISPATCHERS).order_by(DISPATCHERS.c.started_at))
    return [Member(**row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping


def leave(connection: Connection, dispatcher_id: str) -> None:
    """Give up all executions at once, on an orderly stop."""
    connection.execute(sa.update(EXECUTIONS).where(EXECUTIONS.c.owner == dispatcher_id).values(owner=None))
    connection.execute(sa.delete(DISPATCHERS).where(DISPATCHERS.c.id == dispatcher_id))


def forget_dead(connection: Connection, *, before: float) -> None:
    """Delete the rows of dispatchers whose lease ended before `before`."""
    connection.execute(sa.delete(DISPATCHERS).where(DISPATCHERS.c.lease_until < before))


def claim(connection: Connection, dispatcher_id: str, *, now: float, limit: int) -> list[str]:
    """Take executions that nobody owns, whose owner's lease is over, or that were made for this one; return their ids.

    One that was made for a dispatcher names it from its start, and has the epoch 0 until it is taken.
    """
    statement = _FREE if connection.dialect.name == "sqlite" else _FREE_LOCKED
    values = {"b_owner": dispatcher_id, "b_now": now, "b_limit": limit}
    ids = [execution_id for (execution_id,) in bulk.rows(connection, statement, values)]
    bulk.write(connection, _TAKE, [{"b_id": execution_id, "b_owner": dispatcher_id} for execution_id in ids])
    return ids


def fail(connection: Connection, execution_id: str, *, owner: str, error: str, now: float) -> bool:
    """End an execution that nobody can run, if it is this owner's or nobody's; returns whether it was."""
    statement = (
        sa.update(EXECUTIONS)
        .where(EXECUTIONS.c.id == execution_id, EXECUTIONS.c.status.in_([status.value for status in ACTIVE]))
        .where(sa.or_(EXECUTIONS.c.owner == owner, EXECUTIONS.c.owner.is_(None)))
        .values(status=Status.FAILED.value, error=error, ended_at=now)
    )
    failed = connection.execute(statement).rowcount == 1
    if failed:
        tokens.delete_of_executions(connection, [execution_id])
    return failed


def release_waiting(connection: Connection, *, now: float) -> None:
    """Make scheduled executions whose time has come, and queued ones whose deployment is free, pending."""
    bulk.change(connection, _QUEUE_DUE, {"b_now": now})
    for execution_id, tenant, deployment_id in bulk.rows(connection, _FREE_QUEUED, {}):
        # Somebody may be starting another execution of the deployment: then the next look will do.
        if deployment_id is None or try_lock_deployment(connection, tenant, deployment_id):
            bulk.change(connection, _RELEASE, {"b_id": execution_id})


def _is_free() -> tuple[sa.ColumnElement[bool], ...]:
    """Return the conditions that an execution is queued, and waits for nothing any more."""
    held, earlier = EXECUTIONS.alias("held"), EXECUTIONS.alias("earlier")
    same = (EXECUTIONS.c.tenant == held.c.tenant) & (EXECUTIONS.c.deployment_id == held.c.deployment_id)
    busy = sa.exists().where(same, is_active(held))
    before = sa.exists().where(
        earlier.c.tenant == EXECUTIONS.c.tenant,
        earlier.c.deployment_id == EXECUTIONS.c.deployment_id,
        earlier.c.status == Status.QUEUED.value,
        sa.or_(
            earlier.c.created_at < EXECUTIONS.c.created_at,
            sa.and_(earlier.c.created_at == EXECUTIONS.c.created_at, earlier.c.id < EXECUTIONS.c.id),
        ),
    )
    return EXECUTIONS.c.status == Status.QUEUED.value, sa.or_(EXECUTIONS.c.force, ~busy & ~before)


# The engine runs these at every look into the store, and they are long: made and compiled once.
_QUEUE_DUE = (
    sa.update(EXECUTIONS)
    .where(EXECUTIONS.c.status == Status.SCHEDULED.value, EXECUTIONS.c.scheduled_for <= sa.bindparam("b_now"))
    .values(status=Status.QUEUED.value)
)
_FREE_QUEUED = sa.select(EXECUTIONS.c.id, EXECUTIONS.c.tenant, EXECUTIONS.c.deployment_id).where(*_is_free())
_RELEASE = (
    sa.update(EXECUTIONS)
    .where(EXECUTIONS.c.id == sa.bindparam("b_id"), *_is_free())
    .values(status=Status.PENDING.value)
)
_FREE = (
    sa.select(EXECUTIONS.c.id)
    .where(is_active(EXECUTIONS), ~EXECUTIONS.c.outside)
    .where(
        sa.or_(
            EXECUTIONS.c.owner.is_(None),
            sa.and_(EXECUTIONS.c.owner == sa.bindparam("b_owner"), EXECUTIONS.c.owner_epoch == 0),
            EXECUTIONS.c.owner.not_in(
                sa.select(DISPATCHERS.c.id).where(DISPATCHERS.c.lease_until >= sa.bindparam("b_now"))
            ),
        )
    )
    .order_by(EXECUTIONS.c.created_at)
    .limit(sa.bindparam("b_limit"))
)
_FREE_LOCKED = _FREE.with_for_update(skip_locked=True)
_TAKE = (
    sa.update(EXECUTIONS)
    .where(EXECUTIONS.c.id == sa.bindparam("b_id"))
    .values(owner=sa.bindparam("b_owner"), owner_epoch=EXECUTIONS.c.owner_epoch + 1)
)
