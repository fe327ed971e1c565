"""For machines that watch: alive, ready, metrics. The first two answer without credentials, and tell no details."""

from __future__ import annotations

import logging

from fastapi import APIRouter, Request, Response

from outrider.dispatcher.errors import StoreError
from outrider.manager_stub.calls import Reader
from outrider.manager_stub.service import Manager

log = logging.getLogger(__name__)

routes = APIRouter(prefix="/outrider/v1", tags=["health"])


@routes.get("/health")
def health() -> dict[str, str]:
    """Return that the process answers."""
    return {"status": "ok"}


@routes.get("/ready")
def ready(request: Request, response: Response) -> dict[str, str]:
    """Return whether work is done: the database answers and the dispatcher runs."""
    manager: Manager = request.app.state.manager
    try:
        with manager.database.read() as connection:
            manager.database.now(connection)
        wrong = manager.healthy()
    except StoreError as error:
        wrong = [str(error)]
    if wrong:
        log.warning("not ready: %s", "; ".join(wrong), extra={"action": "not_ready"})
        response.status_code = 503
        return {"status": "not ready"}
    return {"status": "ok"}


@routes.get("/metrics")
def metrics(call: Reader) -> Response:
    """Return counters and gauges in Prometheus' text format."""
    with call.read() as connection:
        text = call.manager.metrics.text(connection)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")
