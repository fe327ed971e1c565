"""What Outrider tells beyond v3.1, under ``/outrider/v1``: why, waterfall, plan, fleet, live events, decisions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from outrider.dispatcher.errors import UnknownInputs
from outrider.dispatcher.store import agents, audit, executions, graphs, progress, tasks
from outrider.dispatcher.store.tasks import DecisionKind
from outrider.manager_stub.bodies import DecideBody
from outrider.manager_stub.calls import Call, Reader, SystemAdmin, Writer
from outrider.manager_stub.errors import BadRequest
from outrider.manager_stub.listing import Listing, page_of
from outrider.manager_stub.live import follow
from outrider.manager_stub.resource import own_row
from outrider.manager_stub.resources import EXECUTION
from outrider.manager_stub.shapes.operations import STATES
from outrider.manager_stub.wire import time_text

routes = APIRouter(prefix="/outrider/v1", tags=["beyond v3.1"])

LARGEST_GRAPH = 5_000


@routes.get("/executions/{execution_id}/why")
def why(call: Reader, execution_id: str) -> list[dict[str, Any]]:
    """Return what an execution waits for: the exact thing, for itself and each open operation."""
    _own(call, execution_id)
    return [asdict(reason) for reason in call.dispatcher.why(execution_id)]


@routes.get("/executions/{execution_id}/waterfall")
def waterfall(call: Reader, execution_id: str) -> dict[str, Any]:
    """Return every attempt with the durations of its stages, and what runs now. Times are seconds since the start."""
    _own(call, execution_id)
    with call.read() as connection:
        execution = executions.get(connection, execution_id)
        now = call.now(connection)
        ended = progress.ended_attempts(connection, execution_id)
        running = progress.open_operations(connection, execution_id, limit=1000)
        said = progress.doing(connection, {each.agent_id for each in running})
        retries = progress.waiting_retries(connection, execution_id)
    start = execution.started_at or execution.created_at
    return {
        "execution": execution_id,
        "status": execution.status.value,
        "started_at": time_text(execution.started_at),
        "seconds": (execution.ended_at or now) - start,
        "ended": [
            {
                "operation": each.operation,
                "instance": each.instance,
                "agent": each.agent_id,
                "attempt": each.number,
                "verdict": each.verdict,
                "begins": each.created_at - start,
                "ends": each.ended_at - start,
                "stages": dict(each.durations),
            }
            for each in ended
        ],
        "running": [
            {
                "operation": each.operation,
                "instance": each.instance,
                "agent": each.agent_id,
                "attempt": each.number,
                "state": each.state.value,
                "begins": each.created_at - start,
                "doing": said.get(each.attempt_id),
            }
            for each in running
        ],
        "retries": [
            {
                "operation": each.operation,
                "instance": each.instance,
                "in_seconds": max(each.not_before - now, 0.0),
                "error": each.error,
            }
            for each in retries
        ],
    }


@routes.get("/executions/{execution_id}/plan")
def plan(call: Reader, execution_id: str) -> list[dict[str, Any]]:
    """Return the task graphs of an execution, stage by stage, with the state of each task."""
    _own(call, execution_id)
    stages = []
    with call.read() as connection:
        for graph in graphs.of_execution(connection, execution_id):
            rows = tasks.of_graph(connection, graph.id)
            stages.append(
                {
                    "stage": graph.name,
                    "state": graph.state.value,
                    "total": len(rows),
                    "tasks": [
                        {
                            "id": row.id,
                            "name": row.task.id,
                            "kind": row.task.kind.value,
                            "operation": row.task.operation,
                            "instance": row.task.instance,
                            "state": STATES[row.state],
                            "attempt": row.attempt,
                            "error": row.error,
                            "dependencies": list(row.dependencies),
                        }
                        for row in rows[:LARGEST_GRAPH]
                    ],
                }
            )
    return stages


@routes.get("/executions/{execution_id}/events")
async def live_events(call: Reader, execution_id: str, after: int = 0) -> StreamingResponse:
    """Follow an execution as server-sent events: `record` for each event or log line, `status`, and `end`."""
    await run_in_threadpool(_own, call, execution_id)
    stream = follow(call.manager.database, execution_id, after=after)
    return StreamingResponse(stream, media_type="text/event-stream", headers=_UNBUFFERED)


#: Proxies must neither hold the stream back nor keep it.
_UNBUFFERED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@routes.post("/operations/{operation_id}/decide")
def decide(call: Writer, operation_id: str, body: DecideBody) -> None:
    """Say what the next resume does about an operation that may have run."""
    with call.read() as connection:
        execution_id = tasks.get(connection, operation_id).execution_id
    _own(call, execution_id)
    try:
        call.dispatcher.decide(
            operation_id,
            DecisionKind(body.decision),
            inputs=body.inputs,
            allow_new_inputs=body.allow_new_inputs,
            decided_by=call.caller.user,
        )
    except UnknownInputs as error:
        raise BadRequest(f"{error}; if its function takes more, send allow_new_inputs") from error


@routes.get("/fleet")
def fleet(call: Reader) -> list[dict[str, Any]]:
    """Return the agents that the caller may see, with what they said last."""
    with call.read() as connection:
        now = call.now(connection)
        found = agents.listed(connection, tenant=None if call.caller.is_admin else call.tenant)
    return [
        {
            "id": each.id,
            "tenant": each.tenant,
            "state": each.state,
            "deployment": each.deployment_id,
            "seen_seconds_ago": None if each.last_seen_at is None else max(now - each.last_seen_at, 0.0),
            "fenced": each.fenced,
            "heartbeat": each.heartbeat,
        }
        for each in found
    ]


@routes.get("/audit")
def audit_log(call: SystemAdmin, listing: Listing) -> dict[str, Any]:
    """List the audit log, newest first."""
    with call.read() as connection:
        found = audit.listed(connection, limit=listing.size, offset=listing.offset)
    return page_of([{**asdict(each), "at": time_text(each.at)} for each in found], len(found), listing)


def _own(call: Call, execution_id: str) -> None:
    with call.read() as connection:
        own_row(connection, call, EXECUTION, execution_id)
