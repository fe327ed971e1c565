"""Watches every answer: counts it, and puts requests that change something into the audit log."""

from __future__ import annotations

import logging
import time

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from outrider.dispatcher.errors import DispatcherError
from outrider.dispatcher.store import audit
from outrider.dispatcher.store.audit import Entry
from outrider.manager_stub.access import Caller
from outrider.manager_stub.peers import address_of
from outrider.manager_stub.service import Manager

log = logging.getLogger(__name__)

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
#: What operations send all the time, and what only looks like a change.
_UNRECORDED = tuple(f"/api/v3.1/{each}" for each in ("events", "evaluate/functions", "operations", "searches/"))


class Observer:
    """ASGI middleware around the application."""

    def __init__(self, app: ASGIApp, manager: Manager) -> None:
        self._app = app
        self._manager = manager

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and look at what became of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = 500
        recorded = scope["method"] not in _READING and not scope["path"].startswith(_UNRECORDED)

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if recorded:
                    # Before the answer: who reads that a token is deleted may rely on it.
                    self._manager.authenticator.known.forget()
                message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route = scope.get("route")
            pattern = getattr(route, "path", "other")
            self._manager.metrics.request(scope["method"], pattern, status, time.monotonic() - began)
            if recorded:
                await run_in_threadpool(self._record, scope, status)

    def _record(self, scope: Scope, status: int) -> None:
        caller: Caller | None = scope.get("state", {}).get("caller")
        try:
            with self._manager.database.begin() as connection:
                entry = Entry(
                    at=self._manager.database.now(connection),
                    user=caller.user if caller else "",
                    tenant=caller.tenant if caller else None,
                    address=address_of(scope.get("client")),
                    method=scope["method"],
                    path=scope["path"][:1000],
                    status=status,
                    execution_id=caller.execution_id if caller else None,
                )
                audit.append(connection, [entry])
        except DispatcherError:
            # The answer is out; what is left is to say that the log has a gap.
            log.exception("the audit log has a gap", extra={"action": "audit_gap", "path": scope["path"]})


#: Sent with every answer: the page needs nothing from elsewhere, and nobody may frame it.
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; frame-ancestors 'none'",
    ),
]
