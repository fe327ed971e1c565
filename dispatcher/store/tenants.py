"""Tenants and who belongs to them in which role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outrider.dispatcher.errors import Conflict, NotFound
from outrider.dispatcher.store.database import insert_ignoring_duplicates, insert_new, upsert
from outrider.dispatcher.store.schema import BLUEPRINTS, DEPLOYMENTS, MEMBERS, PLUGINS, SECRETS, TENANTS

DEFAULT = "default_tenant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A row."""

    name: str
    created_at: float = 0.0


def ensure(connection: Connection, name: str, *, now: float) -> None:
    """Make a tenant unless it exists."""
    insert_ignoring_duplicates(connection, TENANTS, [{"name": name, "created_at": now}])


def insert(connection: Connection, name: str, *, now: float) -> Tenant:
    """Make a tenant; raises `AlreadyExists`."""
    insert_new(connection, TENANTS, {"name": name, "created_at": now}, kind="tenant", name=name)
    return Tenant(name=name, created_at=now)


def get(connection: Connection, name: str) -> Tenant:
    """Return one tenant; raises `NotFound`."""
    row = connection.execute(sa.select(TENANTS).where(TENANTS.c.name == name)).one_or_none()
    if row is None:
        raise NotFound("tenant", name)
    return Tenant(name=row.name, created_at=row.created_at)


def listed(connection: Connection) -> list[Tenant]:
    """Return all tenants by name."""
    rows = connection.execute(sa.select(TENANTS).order_by(TENANTS.c.name))
    return [Tenant(name=row.name, created_at=row.created_at) for row in rows]


def delete(connection: Connection, name: str) -> None:
    """Delete an empty tenant; raises `NotFound`, `Conflict` while something is in it."""
    get(connection, name)
    if name == DEFAULT:
        raise Conflict(f"tenant {name!r} is the one that everything falls back to: it cannot be deleted")
    for table, what in (
        (DEPLOYMENTS, "deployments"),
        (BLUEPRINTS, "blueprints"),
        (PLUGINS, "plugins"),
        (SECRETS, "secrets"),
    ):
        count = connection.execute(sa.select(sa.func.count()).where(table.c.tenant == name)).scalar_one()
        if count:
            raise Conflict(f"tenant {name!r} still has {count} {what}: delete them first")
    connection.execute(sa.delete(MEMBERS).where(MEMBERS.c.tenant == name))
    connection.execute(sa.delete(TENANTS).where(TENANTS.c.name == name))


def members(connection: Connection, name: str) -> dict[str, str]:
    """Return user → role of a tenant's members."""
    rows = connection.execute(sa.select(MEMBERS).where(MEMBERS.c.tenant == name).order_by(MEMBERS.c.user))
    return {row.user: row.role for row in rows}


def of_user(connection: Connection, user: str) -> Mapping[str, str]:
    """Return tenant → role of the tenants that a user belongs to."""
    rows = connection.execute(sa.select(MEMBERS).where(MEMBERS.c.user == user).order_by(MEMBERS.c.tenant))
    return {row.tenant: row.role for row in rows}


def add_member(connection: Connection, tenant: str, user: str, role: str) -> None:
    """Make a user a member, or change the role of one; raises `NotFound` for the tenant."""
    get(connection, tenant)
    upsert(connection, MEMBERS, {"tenant": tenant, "user": user, "role": role}, keys=("tenant", "user"))


def remove_member(connection: Connection, tenant: str, user: str) -> None:
    """End a membership; raises `NotFound`."""
    statement = sa.delete(MEMBERS).where(MEMBERS.c.tenant == tenant, MEMBERS.c.user == user)
    if connection.execute(statement).rowcount == 0:
        raise NotFound(f"member of tenant {tenant!r}", user)
