"""Events and log lines: read flat, written nested, deleted by deployment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Response

from outrider.dispatcher.store import events, executions
from outrider.dispatcher.store.events import Event
from outrider.dispatcher.store.executions import Execution
from outrider.dispatcher.store.schema import EVENTS
from outrider.manager_stub.bodies import EventsBody
from outrider.manager_stub.calls import Operator, Reader, Writer
from outrider.manager_stub.errors import BadRequest
from outrider.manager_stub.listing import ListCall, Listing, page_of
from outrider.manager_stub.paging import answer_page
from outrider.manager_stub.resource import own_row
from outrider.manager_stub.resources import EVENT, EXECUTION

routes = APIRouter(tags=["events"])

Json = Mapping[str, Any]
_TIMES = {
    "timestamp": EVENTS.c.stored_at,
    "@timestamp": EVENTS.c.happened_at,
    "reported_timestamp": EVENTS.c.happened_at,
}
LEVELS = frozenset({"debug", "info", "warning", "error", "critical"})


@routes.get("/events")
async def list_events(call: Reader, listing: Listing) -> Response:
    """List events and log lines, in the order of their storing."""
    return await answer_page(call, EVENT, listing, where=ranges)


@routes.post("/events", status_code=201)
def store_events(call: Operator, body: EventsBody, response: Response) -> None:
    """Store what an operation reports; the answer is ``null``, which clients insist on."""
    records = [(each, True) for each in body.events or ()] + [(each, False) for each in body.logs or ()]
    if not records:
        response.status_code = 204
        return
    execution_id = call.caller.execution_id or body.execution_id
    if body.execution_id is not None:
        call.check_execution(body.execution_id)
    with call.write() as connection:
        execution = None
        if execution_id is not None:
            own_row(connection, call, EXECUTION, execution_id)
            execution = executions.get(connection, execution_id)
        now = call.now(connection)
        stored = [
            _event(each, is_event=kind, execution=execution, tenant=call.tenant, now=now) for each, kind in records
        ]
        events.append(connection, stored, now=now)


@routes.delete("/events")
def delete_events(call: Writer, listing: Listing) -> dict[str, Any]:
    """Delete a deployment's events; the one item of the answer is their number."""
    deployment_ids = listing.filters.get("deployment_id")
    if not deployment_ids:
        raise BadRequest("name the deployment whose events are to be deleted: deployment_id=…")
    conditions = [EVENTS.c.tenant == call.tenant, EVENTS.c.deployment_id.in_(deployment_ids), *ranges(listing)]
    if "type" in listing.filters:
        conditions.append(EVENT.conditions["type"](listing.filters["type"]))
    with call.write() as connection:
        count = connection.execute(sa.delete(EVENTS).where(*conditions)).rowcount
    return page_of([count], 1, ListCall())


def ranges(listing: ListCall) -> list[sa.ColumnElement[bool]]:
    """Read ``_range=@timestamp,FROM,TO``, either end open; raises BadRequest."""
    conditions: list[sa.ColumnElement[bool]] = []
    for text in listing.ranges:
        name, begin, end = (*text.split(","), "", "")[:3]
        column = _TIMES.get(name)
        if column is None:
            raise BadRequest(f"events have no range over {name!r}; known are: {', '.join(_TIMES)}")
        if begin:
            conditions.append(column >= _moment(begin))
        if end:
            conditions.append(column <= _moment(end))
    return conditions


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadRequest(f"{text[:40]!r} is no time in ISO 8601") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _event(record: Json, *, is_event: bool, execution: Execution | None, tenant: str, now: float) -> Event:
    context = record.get("context")
    known: Json = context if isinstance(context, dict) else {}
    message = record.get("message")
    text = message.get("text") if isinstance(message, dict) else message
    level = str(record.get("level") or "info").lower()
    causes = known.get("task_error_causes")
    return Event(
        message=str(text if text is not None else ""),
        happened_at=now,
        tenant=tenant,
        execution_id=execution.id if execution else None,
        deployment_id=execution.deployment_id if execution else _text(known.get("deployment_id")),
        workflow=execution.workflow if execution else _text(known.get("workflow_id")),
        event_type=str(record.get("event_type") or "workflow_event")[:40] if is_event else None,
        level=None if is_event else (level if level in LEVELS else "info"),
        logger=None if is_event else _text(record.get("logger")),
        operation=_text(known.get("operation") or record.get("operation")),
        node=_text(known.get("node_name")),
        instance=_text(known.get("source_id") or known.get("node_id")),
        target_instance=_text(known.get("target_id")),
        causes=tuple(causes) if isinstance(causes, list) else None,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value).replace("\0", "\ufffd")[:256]
