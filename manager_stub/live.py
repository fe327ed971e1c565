"""Follows an execution for a browser: server-sent events from what is stored, so that any manager can serve them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import sqlalchemy as sa
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.engine import Row

from outrider.dispatcher.errors import NotFound
from outrider.dispatcher.store import executions
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.executions import Execution
from outrider.dispatcher.store.schema import EVENTS
from outrider.manager_stub import shapes
from outrider.manager_stub.listing import ListCall

POLL_SECONDS = 0.25
#: Proxies close connections on which nothing comes; a comment now and then keeps them.
COMMENT_SECONDS = 15.0
PAGE = 500
#: Nobody follows one execution for longer in one go; a client begins again after the last record.
LONGEST_SECONDS = 24 * 3600.0


async def follow(database: Database, execution_id: str, *, after: int = 0) -> AsyncIterator[str]:
    """Yield the records after the event `after`, the status when it changes, and `end`."""
    last, status, spoken = after, None, time.monotonic()
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline:
        try:
            execution, rows, records = await run_in_threadpool(_read, database, execution_id, last)
        except NotFound:
            yield _message("end", {"status": "deleted"})
            return
        for row, record in zip(rows, records, strict=True):
            last = row.id
            yield _message("record", record, number=row.id)
        if execution.status is not status:
            status = execution.status
            yield _message("status", _progress(execution))
        if len(rows) == PAGE:
            continue
        if execution.ended:
            yield _message("end", _progress(execution))
            return
        if rows:
            spoken = time.monotonic()
            yield _message("progress", _progress(execution))
        elif time.monotonic() - spoken > COMMENT_SECONDS:
            spoken = time.monotonic()
            yield ": still here\n\n"
        await asyncio.sleep(POLL_SECONDS)


def _read(database: Database, execution_id: str, last: int) -> tuple[Execution, list[Row[Any]], list[dict[str, Any]]]:
    with database.read() as connection:
        # Status before records: what is recorded before the end is sent before the end.
        execution = executions.get(connection, execution_id)
        query = sa.select(EVENTS).where(EVENTS.c.execution_id == execution_id, EVENTS.c.id > last)
        rows = list(connection.execute(query.order_by(EVENTS.c.id).limit(PAGE)))
        return execution, rows, shapes.events(connection, rows, ListCall())


def _progress(execution: Execution) -> dict[str, Any]:
    return {
        "status": execution.status.value,
        "error": execution.error,
        "total_operations": execution.total_operations,
        "finished_operations": execution.finished_operations,
    }


def _message(kind: str, value: Any, *, number: int | None = None) -> str:
    identity = "" if number is None else f"id: {number}\n"
    return f"{identity}event: {kind}\ndata: {json.dumps(value, ensure_ascii=False)}\n\n"
