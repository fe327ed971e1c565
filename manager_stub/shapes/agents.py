"""Agents on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.store import jsontext
from outrider.manager_stub.listing import ListCall
from outrider.manager_stub.wire import ownership, time_text


def agents(_connection: Connection, rows: Sequence[Row[Any]], _listing: ListCall) -> list[dict[str, Any]]:
    """Return agent records."""
    return [_agent(row) for row in rows]


def _agent(row: Row[Any]) -> dict[str, Any]:
    details: Mapping[str, Any] = jsontext.load(row.details)
    heartbeat: Mapping[str, Any] = jsontext.load(row.heartbeat) or {}
    return {
        "id": row.id,
        "name": row.id,
        "ip": details.get("ip"),
        "install_method": details.get("install_method"),
        "system": details.get("system") or heartbeat.get("platform"),
        "version": heartbeat.get("version") or details.get("version"),
        "state": row.state,
        "node": details.get("node"),
        "deployment": row.deployment_id,
        "node_instance_id": row.instance,
        "host_id": row.instance,
        "rabbitmq_exchange": row.id,
        "updated_at": time_text(row.last_seen_at),
        **ownership(details, row.tenant, row.created_at),
    }
