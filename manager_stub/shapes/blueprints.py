"""Blueprints on the wire; the plan only where one blueprint is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.store import jsontext
from outrider.dispatcher.store.schema import EXECUTIONS
from outrider.manager_stub.listing import ListCall
from outrider.manager_stub.shapes.executions import executions
from outrider.manager_stub.wire import labels_list, ownership, time_text


def blueprints(connection: Connection, rows: Sequence[Row[Any]], listing: ListCall) -> list[dict[str, Any]]:
    """Return blueprint records."""
    with_plan = "plan" in listing.include or listing.flag("_plan")
    uploads = _executions(connection, rows, listing)
    return [_blueprint(row, uploads, with_plan=with_plan) for row in rows]


def _executions(connection: Connection, rows: Sequence[Row[Any]], listing: ListCall) -> dict[str, Any]:
    ids = [jsontext.load(row.details).get("upload_execution") for row in rows]
    query = sa.select(EXECUTIONS).where(EXECUTIONS.c.id.in_([each for each in ids if each]))
    return {each["id"]: each for each in executions(connection, connection.execute(query).all(), listing)}


def _blueprint(row: Row[Any], uploads: Mapping[str, Any], *, with_plan: bool) -> dict[str, Any]:
    details: Mapping[str, Any] = jsontext.load(row.details)
    upload = details.get("upload_execution")
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
        "upload_execution": None if upload is None else uploads.get(upload, {"id": upload}),
        "updated_at": time_text(row.updated_at),
        **ownership(details, row.tenant, row.created_at),
    }


def _plan(row: Row[Any]) -> dict[str, Any] | None:
    plan: dict[str, Any] | None = jsontext.load(row.plan)
    return None if plan is None else {"metadata": None, **plan}
