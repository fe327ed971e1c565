"""Executions of workflows that run elsewhere: made with a status, never run here, and told how they stand.

`routes.executions` calls it. Such an execution holds its deployment like any other while it is active. What its
workflow keeps with it (graphs, operations) is `outside`'s affair.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outrider.dispatcher.store import events, executions, tokens
from outrider.dispatcher.store.executions import ENDED, Execution, Status
from outrider.dispatcher.store.schema import EXECUTIONS
from outrider.manager_stub.access import Right
from outrider.manager_stub.bodies import ExecutionBody
from outrider.manager_stub.calls import Call
from outrider.manager_stub.errors import AtOdds, BadRequest, Forbidden
from outrider.manager_stub.resource import own_row
from outrider.manager_stub.resources import DEPLOYMENT, EXECUTION
from outrider.manager_stub.wire import checked_id, parse_time

#: What an execution may be made as; the other statuses are a dispatcher's to give.
_FIRST = frozenset({Status.PENDING, Status.STARTED}) | ENDED
#: Status → what its workflow may report next. One that is being cancelled can only end.
_NEXT: Mapping[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.STARTED}) | ENDED,
    Status.STARTED: ENDED,
    Status.CANCELLING: ENDED,
    Status.FORCE_CANCELLING: ENDED,
    Status.KILL_CANCELLING: ENDED,
}
#: What only a system's administrator may say of an execution: it is history, and gives its tokens somebody's rights.
_HISTORY = ("created_by", "created_at", "started_at", "ended_at")


def create(call: Call, body: ExecutionBody) -> str:
    """Store an execution and return its id. Raises BadRequest, Forbidden, Missing, `ExecutionRunning`."""
    status = _status(body.force_status or "", _FIRST)
    _check_rights(call, body)
    if body.queue or body.scheduled_time is not None:
        raise BadRequest("an execution with force_status runs elsewhere: it can neither be queued nor scheduled here")
    if body.error is not None and status not in ENDED:
        raise BadRequest(f"an execution that is {status.value} has no error yet")
    with call.write() as connection:
        deployment = own_row(connection, call, DEPLOYMENT, body.deployment_id)
        now = call.now(connection)

        def moment(text: str | None, default: float | None) -> float | None:
            return default if text is None else parse_time(text, now=now)

        record = Execution(
            id=str(uuid.uuid4()) if body.id is None else checked_id(body.id, kind="execution", longest=64),
            workflow=body.workflow_id[:256],
            tenant=call.tenant,
            deployment_id=deployment.id,
            blueprint_id=deployment.blueprint_id,
            parameters=body.parameters or {},
            status=status,
            error=_storable(body.error),
            dry_run=body.dry_run,
            force=body.force,
            created_by=body.created_by or call.caller.user,
            details={"allow_custom_parameters": body.allow_custom_parameters},
            created_at=moment(body.created_at, now) or now,
            started_at=moment(body.started_at, None if status is Status.PENDING else now),
            ended_at=moment(body.ended_at, now if status in ENDED else None),
            outside=True,
        )
        # An id may have been used before: what was handed out for it then is not for this one.
        tokens.delete_of_executions(connection, [record.id])
        executions.insert(connection, record, now=now)
    return record.id


def report(call: Call, execution_id: str, *, status: str, error: str | None) -> None:
    """Store how an execution stands, by its workflow's report. Raises BadRequest, Forbidden, Missing, AtOdds."""
    call.check_execution(execution_id)
    reported = _status(status, frozenset(Status))
    with call.write() as connection:
        execution = executions.of_row(own_row(connection, call, EXECUTION, execution_id))
        if not execution.outside and not execution.ended:
            raise AtOdds(f"execution {execution_id} is the dispatchers', who alone set its status")
        if execution.outside and reported is execution.status:
            return  # the answer to the first report was lost
        if reported not in _NEXT.get(execution.status, frozenset()):
            raise BadRequest(
                f"execution {execution_id} is {execution.status.value}: it cannot become {reported.value}",
                code="invalid_exception_status_update",
            )
        _move(connection, execution, reported, error=error, now=call.now(connection))
    if reported in ENDED:
        call.dispatcher.look()  # others may wait for its deployment


def _move(connection: Connection, execution: Execution, status: Status, *, error: str | None, now: float) -> None:
    values: dict[str, Any] = {"status": status.value, "error": _storable(error)}
    if execution.started_at is None:
        values["started_at"] = now
    if status in ENDED:
        values["ended_at"] = now
        tokens.delete_of_executions(connection, [execution.id])
    table = EXECUTIONS.c
    known = sa.update(EXECUTIONS).where(table.id == execution.id, table.status == execution.status.value)
    if connection.execute(known.values(**values)).rowcount == 0:
        raise AtOdds(f"the status of execution {execution.id} was changed meanwhile: read it again")


def _storable(error: str | None) -> str | None:
    return None if error is None else events.storable(error)


def _status(text: str, allowed: frozenset[Status]) -> Status:
    try:
        found = Status(text)
    except ValueError as error:
        raise BadRequest(f"{text[:40]!r} is no status of an execution") from error
    if found not in allowed:
        raise BadRequest(
            f"no execution is made as {text}; possible are: {', '.join(sorted(each.value for each in allowed))}"
        )
    return found


def _check_rights(call: Call, body: ExecutionBody) -> None:
    if call.caller.right < Right.TENANT:
        raise Forbidden("force_status needs the right tenant: whoever may only start workflows has them run here")
    told = [name for name in _HISTORY if getattr(body, name) is not None]
    if told and not call.caller.is_admin:
        raise Forbidden(f"only an administrator of the system tells the {told[0]} of an execution")
