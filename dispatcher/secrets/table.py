"""What the secret store needs of a database, and the adapter to the dispatcher's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from outrider.dispatcher.errors import NotFound
from outrider.dispatcher.store import secrets as rows
from outrider.dispatcher.store.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRow:
    """A row: ciphertext, and details that are no secret."""

    tenant: str
    name: str
    ciphertext: bytes = field(repr=False)
    details: Mapping[str, Any] = field(default_factory=dict)
    created_at: float = 0.0
    updated_at: float = 0.0


class SecretTable(Protocol):
    """Rows by tenant and name."""

    def save(self, row: SecretRow) -> None:
        """Insert or replace a row; the table sets the time stamps, and `created_at` of a replaced row stays."""

    def exchange(self, old: SecretRow, ciphertext: bytes) -> bool:
        """Replace a row's ciphertext if it is still the old one; returns whether it was."""

    def find(self, tenant: str, name: str) -> SecretRow | None:
        """Return a row."""

    def named(self, name: str) -> list[SecretRow]:
        """Return the rows of this name in all tenants, by tenant."""

    def listed(self, tenant: str | None) -> list[SecretRow]:
        """Return a tenant's rows by name; None: those of all tenants."""

    def delete(self, tenant: str, name: str) -> bool:
        """Remove a row; returns whether there was one."""


class DatabaseTable:
    """The table ``secrets`` of the dispatcher's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, row: SecretRow) -> None:
        """Insert or replace a row, with the database's time."""
        with self._database.begin() as connection:
            now = self._database.now(connection)
            rows.save(
                connection,
                rows.StoredSecret(
                    tenant=row.tenant,
                    name=row.name,
                    ciphertext=row.ciphertext,
                    details=row.details,
                    created_at=now,
                    updated_at=now,
                ),
            )

    def exchange(self, old: SecretRow, ciphertext: bytes) -> bool:
        """Replace a row's ciphertext if it is still the old one."""
        with self._database.begin() as connection:
            return rows.exchange(connection, old.tenant, old.name, old=old.ciphertext, new=ciphertext)

    def find(self, tenant: str, name: str) -> SecretRow | None:
        """Return a row."""
        with self._database.read() as connection:
            try:
                return _row(rows.get(connection, tenant, name))
            except NotFound:
                return None

    def named(self, name: str) -> list[SecretRow]:
        """Return the rows of this name in all tenants."""
        with self._database.read() as connection:
            return [_row(each) for each in rows.named(connection, name)]

    def listed(self, tenant: str | None) -> list[SecretRow]:
        """Return a tenant's rows, or all."""
        with self._database.read() as connection:
            found = rows.listed(connection, tenant) if tenant is not None else rows.of_all_tenants(connection)
            return [_row(each) for each in found]

    def delete(self, tenant: str, name: str) -> bool:
        """Remove a row."""
        with self._database.begin() as connection:
            try:
                rows.delete(connection, tenant, name)
            except NotFound:
                return False
        return True


def _row(stored: rows.StoredSecret) -> SecretRow:
    return SecretRow(
        tenant=stored.tenant,
        name=stored.name,
        ciphertext=stored.ciphertext,
        details=stored.details,
        created_at=stored.created_at,
        updated_at=stored.updated_at,
    )
