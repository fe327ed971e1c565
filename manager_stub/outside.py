"""What the manager owes to workflows that run elsewhere: their task graphs are kept, and reports have their effects.

Such a workflow tells how each of its operations stands, and relies on the manager for the rest: an instance takes the
state that its operation set, the execution's events tell what was sent, started and ended, and its progress is counted.
The routes in `routes.operations` call it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.errors import NotFound
from outrider.dispatcher.store import events, instances
from outrider.dispatcher.store.events import Event
from outrider.dispatcher.store.outside import OutsideOperation
from outrider.dispatcher.store.schema import EXECUTIONS

#: Kinds of operations that are told of in events and counted; the others are a workflow's own bookkeeping.
TOLD = frozenset({"RemoteWorkflowTask", "SubgraphTask"})
#: State → the event that tells of it, and its words.
_EVENTS = {
    "sending": ("sending_task", "Sending task"),
    "started": ("task_started", "Task started"),
    "succeeded": ("task_succeeded", "Task succeeded"),
    "rescheduled": ("task_rescheduled", "Task rescheduled"),
    "failed": ("task_failed", "Task failed"),
}
#: States after which nothing more comes.
ENDED = frozenset({"succeeded", "failed", "rescheduled"})


def count_planned(connection: Connection, execution: Row[Any], operations: Sequence[OutsideOperation]) -> None:
    """Count new operations as work of their execution, unless a dispatcher runs it and counts its own."""
    _count(connection, execution, total=sum(each.type in TOLD for each in operations))


def record(connection: Connection, execution: Row[Any], operation: OutsideOperation, *, state: str, now: float) -> None:
    """Draw the consequences of an operation's new state."""
    kwargs = _member(operation.parameters, "task_kwargs")
    if operation.type == "SetNodeInstanceStateTask" and state == "succeeded":
        _set_state(connection, execution, kwargs)
    elif operation.type == "SendNodeEventTask" and state == "succeeded":
        told = _event(execution, operation, "workflow_node_event", str(kwargs.get("event") or ""), now=now)
        events.append(connection, [told], now=now)
    elif operation.type in TOLD and state in _EVENTS:
        if operation.parameters.get("send_task_events", True):
            kind, words = _EVENTS[state]
            events.append(
                connection, [_event(execution, operation, kind, f"{words} {operation.name!r}", now=now)], now=now
            )
        if state in ENDED:
            _count(connection, execution, finished=1)


def instance_of(operation: OutsideOperation) -> str | None:
    """Return the node instance that an operation is about, as far as its parameters say."""
    kwargs = _member(operation.parameters, "task_kwargs")
    context = _member(_member(kwargs, "kwargs"), "__cloudify_context")
    return _text(kwargs.get("node_instance_id") or context.get("node_id"))


def _set_state(connection: Connection, execution: Row[Any], kwargs: Mapping[str, Any]) -> None:
    instance, state = kwargs.get("node_instance_id"), kwargs.get("state")
    if instance is None or state is None or execution.deployment_id is None:
        return
    key = (execution.tenant, execution.deployment_id)
    try:
        instances.patch(connection, key, _text(instance) or "", version=None, state=(_text(state) or "")[:40])
    except NotFound:
        return  # scaled away meanwhile: there is nothing left that could have a state


def _event(execution: Row[Any], operation: OutsideOperation, kind: str, text: str, *, now: float) -> Event:
    context = _member(_member(_member(operation.parameters, "task_kwargs"), "kwargs"), "__cloudify_context")
    instance = instance_of(operation)
    causes = operation.outcome.get("exception_causes")
    return Event(
        message=text,
        happened_at=now,
        tenant=execution.tenant,
        execution_id=execution.id,
        deployment_id=execution.deployment_id,
        workflow=execution.workflow,
        event_type=kind,
        operation=_text(_member(context, "operation").get("name")),
        node=None if instance is None else instance.rpartition("_")[0],
        instance=instance,
        causes=tuple(causes) if kind == "task_failed" and isinstance(causes, list) else None,
    )


def _count(connection: Connection, execution: Row[Any], *, total: int = 0, finished: int = 0) -> None:
    if execution.owner is not None or not (total or finished):
        return
    table = EXECUTIONS.c
    values = {
        "total_operations": table.total_operations + total,
        "finished_operations": table.finished_operations + finished,
    }
    connection.execute(sa.update(EXECUTIONS).where(table.id == execution.id).values(**values))


def _member(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a mapping inside of another; clients' parameters are theirs, so that anything else may be there."""
    found = parent.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str | None:
    return None if value is None else str(value).replace("\0", "\ufffd")[:256]
