"""Events and log lines on the wire: flat, as `GET /events` of v3.1 has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.store import jsontext
from outrider.manager_stub.listing import ListCall
from outrider.manager_stub.wire import time_text


def events(_connection: Connection, rows: Sequence[Row[Any]], _listing: ListCall) -> list[dict[str, Any]]:
    """Return event records."""
    return [_event(row) for row in rows]


def _event(row: Row[Any]) -> dict[str, Any]:
    record: dict[str, Any] = {
        "_storage_id": row.id,
        "timestamp": time_text(row.stored_at),
        "reported_timestamp": time_text(row.happened_at),
        "deployment_id": row.deployment_id,
        "deployment_display_name": row.deployment_id,
        "blueprint_id": None,
        "execution_id": row.execution_id,
        # Set only for members of execution groups; anything but null changes how clients print.
        "execution_group_id": None,
        "workflow_id": row.workflow,
        "operation": row.operation,
        "node_name": row.node,
        "node_instance_id": row.instance,
        "message": row.message,
        "error_causes": jsontext.load(row.causes),
        "manager_name": None,
        "agent_name": None,
        "source_id": row.instance if row.target_instance else None,
        "target_id": row.target_instance,
    }
    if row.level is not None:
        return {**record, "type": "cloudify_log", "level": row.level, "logger": row.logger}
    return {**record, "type": "cloudify_event", "event_type": row.event_type}
