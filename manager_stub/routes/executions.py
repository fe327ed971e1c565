"""Executions: start, list, cancel, resume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Response

from outrider.dispatcher.errors import Conflict, DecisionNeeded
from outrider.dispatcher.store import executions
from outrider.dispatcher.store.executions import ENDED, Cancel, Execution
from outrider.dispatcher.store.schema import EXECUTIONS
from outrider.manager_stub import outside_executions
from outrider.manager_stub.bodies import ActionBody, DeleteExecutionsBody, ExecutionBody, ExecutionStateBody
from outrider.manager_stub.calls import Call, Operator, Reader, Starter, Writer
from outrider.manager_stub.errors import AtOdds, BadRequest
from outrider.manager_stub.listing import ListCall, Listing, page_of
from outrider.manager_stub.paging import answer_page
from outrider.manager_stub.resource import Where, fetch_one, own_row
from outrider.manager_stub.resources import EXECUTION
from outrider.manager_stub.system_executions import SYSTEM_WORKFLOWS
from outrider.manager_stub.wire import parse_time

routes = APIRouter(tags=["executions"])

#: How long others of an execution's operations may go on after one has failed, unless the client says.
WAIT_AFTER_FAIL_SECONDS = 600.0


@routes.get("/executions")
async def list_executions(call: Reader, listing: Listing) -> Response:
    """List executions; the manager's own only on demand."""
    return await answer_page(call, EXECUTION, listing, where=shown)


def shown(listing: ListCall) -> Where:
    """Leave the manager's own executions out, unless they are asked for."""
    return () if listing.flag("_include_system_workflows") else (EXECUTIONS.c.workflow.not_in(SYSTEM_WORKFLOWS),)


@routes.get("/executions/{execution_id}")
def get_execution(call: Reader, execution_id: str, listing: Listing) -> dict[str, Any]:
    """Return one execution."""
    return fetch_one(call, EXECUTION, execution_id, listing=listing)


@routes.post("/executions", status_code=201)
def start_execution(call: Starter, body: ExecutionBody) -> dict[str, Any]:
    """Start a workflow; it is under way, queued or scheduled when this returns.

    With `force_status` the workflow runs elsewhere, and only its execution is stored.
    """
    if body.force_status is not None:
        return fetch_one(call, EXECUTION, outside_executions.create(call, body))
    if body.id is not None:
        raise BadRequest("an execution that runs here gets its id here: id goes with force_status")
    with call.read() as connection:
        now = call.now(connection)
    asked = Execution(
        id="",
        workflow=body.workflow_id,
        force=body.force,
        queue=body.queue,
        dry_run=body.dry_run,
        created_by=call.caller.user,
        scheduled_for=parse_time(body.scheduled_time, now=now) if body.scheduled_time else None,
        details={"allow_custom_parameters": body.allow_custom_parameters},
        wait_after_fail_seconds=WAIT_AFTER_FAIL_SECONDS if body.wait_after_fail is None else body.wait_after_fail,
    )
    started = call.dispatcher.start(body.workflow_id, body.deployment_id, body.parameters, execution=asked)
    return fetch_one(call, EXECUTION, started.id)


def _cancel(kind: Cancel) -> Callable[[Call, str], object]:
    def act(call: Call, execution_id: str) -> object:
        try:
            return call.dispatcher.cancel(execution_id, kind, decided_by=call.caller.user)
        except Conflict as error:
            raise BadRequest(str(error), code="illegal_action_error") from error

    return act


def _resume(*, force: bool) -> Callable[[Call, str], object]:
    def act(call: Call, execution_id: str) -> object:
        try:
            return call.dispatcher.resume(execution_id, force=force, decided_by=call.caller.user)
        except DecisionNeeded as error:
            remedy = "decide about them, or resume with --reset-operations to try them again"
            raise AtOdds(f"{error}; {remedy}") from error

    return act


ACTIONS = {
    "cancel": _cancel(Cancel.NORMAL),
    "force-cancel": _cancel(Cancel.FORCE),
    "kill": _cancel(Cancel.KILL),
    "resume": _resume(force=False),
    "force-resume": _resume(force=True),
}


@routes.post("/executions/{execution_id}")
def act_on_execution(call: Starter, execution_id: str, body: ActionBody) -> dict[str, Any]:
    """Cancel an execution, or let one go on."""
    with call.read() as connection:
        own_row(connection, call, EXECUTION, execution_id)
    action = ACTIONS.get(body.action)
    if action is None:
        raise BadRequest(f"{body.action} is not offered: start the workflow again", code="illegal_action_error")
    action(call, execution_id)
    return fetch_one(call, EXECUTION, execution_id)


@routes.patch("/executions/{execution_id}")
def set_execution_state(call: Operator, execution_id: str, body: ExecutionStateBody) -> dict[str, Any]:
    """Record how a workflow that runs elsewhere stands; the dispatchers' own are their affair."""
    outside_executions.report(call, execution_id, status=body.status, error=body.error)
    return fetch_one(call, EXECUTION, execution_id)


@routes.delete("/executions", status_code=200)
def delete_executions(call: Writer, listing: Listing, body: DeleteExecutionsBody | None = None) -> dict[str, Any]:
    """Delete ended executions: of a deployment, of before a time, or all but the last ones."""
    deployment_id = (listing.filters.get("deployment_id") or (None,))[-1]
    asked = body or DeleteExecutionsBody()
    if deployment_id is None and asked.keep_last is None and asked.to_datetime is None:
        remedy = "a deployment (deployment_id=…), a time (to_datetime) or a number to keep (keep_last)"
        raise BadRequest(f"say which ended executions are to be deleted: {remedy}")
    with call.write() as connection:
        before = None if asked.to_datetime is None else parse_time(asked.to_datetime, now=call.now(connection))
        found = executions.listed(connection, tenant=call.tenant, deployment_id=deployment_id, statuses=ENDED)
        newest_first = sorted(found, key=lambda each: each.created_at, reverse=True)[asked.keep_last or 0 :]
        chosen = [each.id for each in newest_first if before is None or each.created_at < before]
        executions.delete(connection, chosen)
    return page_of([{"count": len(chosen)}], 1, ListCall())
