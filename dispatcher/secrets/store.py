"""Sets, gets, lists and deletes secrets; the only module that sees ciphertext and values together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from outrider.dispatcher.secrets.cipher import Cipher, key_id_of
from outrider.dispatcher.secrets.errors import SecretExists, SecretMissing
from outrider.dispatcher.secrets.keyring import KeyRing
from outrider.dispatcher.secrets.secret import Secret, SecretInfo, Visibility
from outrider.dispatcher.secrets.table import SecretRow, SecretTable


class SecretStore:
    """Secrets of all tenants."""

    def __init__(self, table: SecretTable, keys: KeyRing) -> None:
        self._table = table
        self._keys = keys
        self._cipher = Cipher(keys)

    def set(self, info: SecretInfo, value: Any, *, replace: bool = True) -> None:
        """Store a JSON value; raises SecretExists if there is one and it is not to be replaced."""
        if not replace and self._table.find(info.tenant, info.name) is not None:
            raise SecretExists(info.name)
        details = {
            "visibility": info.visibility.value,
            "hidden": info.hidden,
            "created_by": info.created_by,
            "schema": info.schema,
        }
        ciphertext = self._cipher.encrypt(value, tenant=info.tenant, name=info.name)
        row = SecretRow(tenant=info.tenant, name=info.name, ciphertext=ciphertext, details=details)
        self._table.save(row)
        # A rotation that ended just before the row was saved did not see it and has forgotten its key.
        if key_id_of(ciphertext, info.name) != self._keys.active()[0]:
            self._table.exchange(row, self._cipher.encrypt(value, tenant=info.tenant, name=info.name))

    def get(self, tenant: str, name: str) -> Secret:
        """Return the tenant's own secret of this name, else a global one; raises SecretMissing, SecretUnreadable."""
        row = self._visible(tenant, name)
        return Secret(info=_info(row), value=self._cipher.decrypt(row.ciphertext, tenant=row.tenant, name=row.name))

    def info(self, tenant: str, name: str) -> SecretInfo:
        """Return what may be shown of the secret that `get` would return; raises SecretMissing."""
        return _info(self._visible(tenant, name))

    def list(self, tenant: str | None) -> list[SecretInfo]:
        """Return what may be shown of a tenant's secrets, by name; None: of all tenants'."""
        return [_info(row) for row in self._table.listed(tenant)]

    def delete(self, tenant: str, name: str) -> None:
        """Remove a tenant's own secret; raises SecretMissing."""
        if not self._table.delete(tenant, name):
            raise SecretMissing(name)

    def values(self, tenant: str, names: Iterable[str]) -> Mapping[str, Any]:
        """Return name → value; raises SecretMissing, SecretUnreadable."""
        return {name: self.get(tenant, name).value for name in names}

    def rotate(self) -> int:
        """Encrypt everything with a new key and forget the older ones; returns how many secrets there are.

        Safe to be interrupted: older keys go last, so every secret can be read at any moment. Dispatchers that run
        meanwhile see the new key at its first use.
        """
        self._keys.rotate()
        current, _key = self._keys.active()
        count = 0
        for row in self._table.listed(None):
            count += 1
            if key_id_of(row.ciphertext, row.name) != current:
                value = self._cipher.decrypt(row.ciphertext, tenant=row.tenant, name=row.name)
                # Whoever set it meanwhile used the new key already.
                self._table.exchange(row, self._cipher.encrypt(value, tenant=row.tenant, name=row.name))
        self._keys.retire({key_id_of(row.ciphertext, row.name) for row in self._table.listed(None)})
        return count

    def _visible(self, tenant: str, name: str) -> SecretRow:
        own = self._table.find(tenant, name)
        if own is not None:
            return own
        for row in self._table.named(name):
            if row.details.get("visibility") == Visibility.GLOBAL.value:
                return row
        raise SecretMissing(name)


def _info(row: SecretRow) -> SecretInfo:
    return SecretInfo(
        tenant=row.tenant,
        name=row.name,
        visibility=Visibility(row.details.get("visibility", Visibility.TENANT.value)),
        hidden=bool(row.details.get("hidden")),
        created_by=str(row.details.get("created_by") or ""),
        schema=row.details.get("schema"),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
