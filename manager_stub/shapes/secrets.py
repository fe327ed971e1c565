"""Secrets on the wire, without their values: those are added for one secret at a time, by its route."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.store import jsontext
from outrider.manager_stub.listing import ListCall
from outrider.manager_stub.wire import ownership, time_text


def secrets(_connection: Connection, rows: Sequence[Row[Any]], _listing: ListCall) -> list[dict[str, Any]]:
    """Return what may be shown of secrets."""
    found = []
    for row in rows:
        details: Mapping[str, Any] = jsontext.load(row.details)
        record = {
            "key": row.name,
            "id": row.name,
            "is_hidden_value": bool(details.get("hidden")),
            "schema": details.get("schema"),
            "updated_at": time_text(row.updated_at),
            "provider_name": None,
            "provider_options": None,
            **ownership(details, row.tenant, row.created_at),
        }
        found.append(record)
    return found
