"""Blueprints as stored: the plan and where the resources are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.errors import Conflict, NotFound
from outrider.dispatcher.store import jsontext
from outrider.dispatcher.store.database import upsert
from outrider.dispatcher.store.schema import BLUEPRINTS, DEPLOYMENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """A row."""

    id: str
    main_file: str
    tenant: str = "default_tenant"
    state: str = "uploaded"
    plan: Mapping[str, Any] | None = None
    description: str | None = None
    error: str | None = None
    error_traceback: str | None = None
    resources: str | None = None
    archive: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    created_at: float = 0.0
    updated_at: float = 0.0


def save(connection: Connection, blueprint: Blueprint, *, now: float) -> None:
    """Insert or replace a blueprint."""
    row = {name: getattr(blueprint, name) for name in Blueprint.__dataclass_fields__}
    row["plan"] = None if blueprint.plan is None else jsontext.dump(blueprint.plan)
    row["details"] = jsontext.dump(blueprint.details)
    row |= {"created_at": blueprint.created_at or now, "updated_at": now}
    upsert(connection, BLUEPRINTS, row, keys=("tenant", "id"))


def get(connection: Connection, tenant: str, blueprint_id: str) -> Blueprint:
    """Return one blueprint; raises `NotFound`."""
    query = sa.select(BLUEPRINTS).where(BLUEPRINTS.c.tenant == tenant, BLUEPRINTS.c.id == blueprint_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound("blueprint", blueprint_id)
    return _record(row)


def resources_of(connection: Connection, tenant: str, blueprint_id: str) -> str | None:
    """Return the hash of the manifest of a blueprint's files; None if it has none, or is gone."""
    query = sa.select(BLUEPRINTS.c.resources).where(BLUEPRINTS.c.tenant == tenant, BLUEPRINTS.c.id == blueprint_id)
    found: str | None = connection.execute(query).scalar_one_or_none()
    return found


def listed(connection: Connection, tenant: str) -> list[Blueprint]:
    """Return a tenant's blueprints, oldest first."""
    query = sa.select(BLUEPRINTS).where(BLUEPRINTS.c.tenant == tenant).order_by(BLUEPRINTS.c.created_at)
    return [_record(row) for row in connection.execute(query)]


def delete(connection: Connection, tenant: str, blueprint_id: str) -> None:
    """Delete a blueprint that no deployment uses; raises `NotFound`, `Conflict`."""
    users = sa.select(DEPLOYMENTS.c.id).where(
        DEPLOYMENTS.c.tenant == tenant, DEPLOYMENTS.c.blueprint_id == blueprint_id
    )
    used_by = list(connection.execute(users).scalars())
    if used_by:
        raise Conflict(f"blueprint {blueprint_id!r} is used by deployments {', '.join(used_by)}; delete them first")
    statement = sa.delete(BLUEPRINTS).where(BLUEPRINTS.c.tenant == tenant, BLUEPRINTS.c.id == blueprint_id)
    if connection.execute(statement).rowcount == 0:
        raise NotFound("blueprint", blueprint_id)


def _record(row: Row[Any]) -> Blueprint:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    values["plan"] = jsontext.load(values["plan"])
    values["details"] = jsontext.load(values["details"])
    return Blueprint(**values)
