"""Blueprints on the wire; the plan only where one blueprint is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.store import jsontext
from outrider.manager_stub.listing import ListCall
from outrider.manager_stub.wire import labels_list, ownership, time_text


def blueprints(_connection: Connection, rows: Sequence[Row[Any]], listing: ListCall) -> list[dict[str, Any]]:
    """Return blueprint records."""
    with_plan = "plan" in listing.include or listing.flag("_plan")
    return [_blueprint(row, with_plan=with_plan) for row in rows]


def _blueprint(row: Row[Any], *, with_plan: bool) -> dict[str, Any]:
    details: Mapping[str, Any] = jsontext.load(row.details)
    return {
        "id": row.id,
        "main_file_name": row.main_file,
        "plan": _plan(row) if with_plan else None,
        "description": row.description,
        "is_hidden": False,
        "state": row.state,
        "error": row.error,
        "error_traceback": row.error_traceback,
        "labels": labels_list(details, row.created_at),
        "requirements": details.get("requirements"),
        # A blueprint is read while it is uploaded: there is no execution to wait for.
        "upload_execution": None,
        "updated_at": time_text(row.updated_at),
        **ownership(details, row.tenant, row.created_at),
    }


def _plan(row: Row[Any]) -> dict[str, Any] | None:
    plan: dict[str, Any] | None = jsontext.load(row.plan)
    return None if plan is None else {"metadata": None, **plan}
