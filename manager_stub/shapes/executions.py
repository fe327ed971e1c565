"""Executions on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.store import jsontext
from outrider.manager_stub.listing import ListCall
from outrider.manager_stub.system_executions import SYSTEM_WORKFLOWS
from outrider.manager_stub.wire import ownership, time_text

#: What an execution holds for the planner alone: the plan that an update moves to would be megabytes of answer.
_HIDDEN_PARAMETERS = frozenset({"plan"})


def executions(_connection: Connection, rows: Sequence[Row[Any]], _listing: ListCall) -> list[dict[str, Any]]:
    """Return execution records."""
    return [_execution(row) for row in rows]


def _execution(row: Row[Any]) -> dict[str, Any]:
    details: Mapping[str, Any] = jsontext.load(row.details)
    parameters: Mapping[str, Any] = jsontext.load(row.parameters)
    if row.workflow == "update":
        parameters = {name: value for name, value in parameters.items() if name not in _HIDDEN_PARAMETERS}
    return {
        "id": row.id,
        "workflow_id": row.workflow,
        "deployment_id": row.deployment_id,
        "deployment_display_name": row.deployment_id,
        "blueprint_id": row.blueprint_id,
        "status": row.status,
        "status_display": "completed" if row.status == "terminated" else row.status,
        "error": row.error,
        "parameters": parameters,
        "is_system_workflow": row.workflow in SYSTEM_WORKFLOWS,
        "is_dry_run": row.dry_run,
        "started_at": time_text(row.started_at),
        "ended_at": time_text(row.ended_at),
        "scheduled_for": time_text(row.scheduled_for),
        "total_operations": row.total_operations,
        "finished_operations": row.finished_operations,
        "allow_custom_parameters": bool(details.get("allow_custom_parameters")),
        "resume": bool(details.get("resumed")),
        "execution_group_id": None,
        **ownership(details, row.tenant, row.created_at),
        "created_by": row.created_by or "",
    }
