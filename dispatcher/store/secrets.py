"""Secrets as stored: ciphertext only. `dispatcher.secrets` holds the key and is the only caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.errors import NotFound
from outrider.dispatcher.store import jsontext
from outrider.dispatcher.store.database import upsert
from outrider.dispatcher.store.schema import SECRETS


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSecret:
    """A row."""

    tenant: str
    name: str
    ciphertext: bytes = field(repr=False)
    details: Mapping[str, Any] = field(default_factory=dict)
    created_at: float = 0.0
    updated_at: float = 0.0


def save(connection: Connection, secret: StoredSecret) -> None:
    """Insert or replace a secret."""
    row = {name: getattr(secret, name) for name in StoredSecret.__dataclass_fields__}
    row["details"] = jsontext.dump(secret.details)
    upsert(connection, SECRETS, row, keys=("tenant", "name"))


def exchange(connection: Connection, tenant: str, name: str, *, old: bytes, new: bytes) -> bool:
    """Replace a ciphertext that nobody changed meanwhile; the value, and so `updated_at`, stays the same."""
    statement = sa.update(SECRETS).where(
        SECRETS.c.tenant == tenant, SECRETS.c.name == name, SECRETS.c.ciphertext == old
    )
    return connection.execute(statement.values(ciphertext=new)).rowcount == 1


def get(connection: Connection, tenant: str, name: str) -> StoredSecret:
    """Return one secret; raises `NotFound`."""
    query = sa.select(SECRETS).where(SECRETS.c.tenant == tenant, SECRETS.c.name == name)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound("secret", name)
    return _record(row)


def listed(connection: Connection, tenant: str) -> list[StoredSecret]:
    """Return a tenant's secrets by name."""
    query = sa.select(SECRETS).where(SECRETS.c.tenant == tenant).order_by(SECRETS.c.name)
    return [_record(row) for row in connection.execute(query)]


def named(connection: Connection, name: str) -> list[StoredSecret]:
    """Return the secrets of this name in all tenants, by tenant: some may be visible to every tenant."""
    query = sa.select(SECRETS).where(SECRETS.c.name == name).order_by(SECRETS.c.tenant)
    return [_record(row) for row in connection.execute(query)]


def of_all_tenants(connection: Connection) -> list[StoredSecret]:
    """Return all secrets by tenant and name, to encrypt them with a new key."""
    query = sa.select(SECRETS).order_by(SECRETS.c.tenant, SECRETS.c.name)
    return [_record(row) for row in connection.execute(query)]


def delete(connection: Connection, tenant: str, name: str) -> None:
    """Delete a secret; raises `NotFound`."""
    statement = sa.delete(SECRETS).where(SECRETS.c.tenant == tenant, SECRETS.c.name == name)
    if connection.execute(statement).rowcount == 0:
        raise NotFound("secret", name)


def _record(row: Row[Any]) -> StoredSecret:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    values["ciphertext"] = bytes(values["ciphertext"])
    values["details"] = jsontext.load(values["details"])
    return StoredSecret(**values)
