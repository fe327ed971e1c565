"""What the manager owes to workflows that run elsewhere: their task graphs are kept, and reports have their effects.

Such a workflow tells how each of its operations stands, and relies on the manager for the rest: an instance takes the
state that its operation set, the execution's events tell what was sent, started and ended, and its progress is counted.
The routes in `routes.graphs` and `routes.operations` call it; the executions themselves are made in
`outside_executions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outrider.dispatcher import narrate
from outrider.dispatcher.errors import NotFound
from outrider.dispatcher.store import events, instances
from outrider.dispatcher.store.events import Event
from outrider.dispatcher.store.executions import Execution
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
#: States in which an operation counts as finished. One that leaves them again (it is tried again, or reset) does not.
ENDED = frozenset({"succeeded", "failed", "rescheduled"})


def count_added(connection: Connection, execution: Execution, operations: Sequence[OutsideOperation]) -> None:
    """Count new operations as work of their execution."""
    counted = [each for each in operations if each.type in TOLD]
    _count(connection, execution, total=len(counted), finished=sum(each.state in ENDED for each in counted))


def count_removed(connection: Connection, execution: Execution, operation: OutsideOperation) -> None:
    """Take an operation that is deleted out of its execution's counts."""
    if operation.type in TOLD:
        _count(connection, execution, total=-1, finished=-int(operation.state in ENDED))


def record(
    connection: Connection, execution: Execution, *, before: OutsideOperation, after: OutsideOperation, now: float
) -> None:
    """Draw the consequences of an operation's new state."""
    kwargs = _member(after.parameters, "task_kwargs")
    told: tuple[str, str] | None = None
    if after.type == "SetNodeInstanceStateTask" and after.state == "succeeded":
        _set_state(connection, execution, kwargs)
    elif after.type == "SendNodeEventTask" and after.state == "succeeded":
        told = "workflow_node_event", str(kwargs.get("event") or "")
    elif after.type in TOLD:
        _count(connection, execution, finished=(after.state in ENDED) - (before.state in ENDED))
        if after.state in _EVENTS and after.parameters.get("send_task_events", True):
            kind, words = _EVENTS[after.state]
            told = kind, f"{words} {after.name!r}"
    if told is not None:
        events.append(connection, [_event(execution, after, *told, happened_at=now)], now=now)


def instance_of(operation: OutsideOperation) -> str | None:
    """Return the node instance that an operation is about, as far as its parameters say."""
    kwargs = _member(operation.parameters, "task_kwargs")
    return _text(kwargs.get("node_instance_id") or _context(operation).get("node_id"))


def _set_state(connection: Connection, execution: Execution, kwargs: Mapping[str, Any]) -> None:
    instance, state = kwargs.get("node_instance_id"), kwargs.get("state")
    if instance is None or state is None or execution.deployment_id is None:
        return
    key = (execution.tenant, execution.deployment_id)
    try:
        instances.patch(connection, key, _text(instance) or "", version=None, state=(_text(state) or "")[:40])
    except NotFound:
        return  # scaled away meanwhile: there is nothing left that could have a state


def _event(execution: Execution, operation: OutsideOperation, kind: str, text: str, *, happened_at: float) -> Event:
    causes = operation.outcome.get("exception_causes")
    return narrate.of_operation(
        execution,
        kind,
        text,
        happened_at=happened_at,
        operation=_text(_member(_context(operation), "operation").get("name")),
        instance=instance_of(operation),
        causes=tuple(causes) if kind == "task_failed" and isinstance(causes, list) else None,
    )


def _count(connection: Connection, execution: Execution, *, total: int = 0, finished: int = 0) -> None:
    """Change the progress of an execution that runs elsewhere; a dispatcher counts its own."""
    if not execution.outside or not (total or finished):
        return
    table = EXECUTIONS.c
    values = {
        "total_operations": table.total_operations + total,
        "finished_operations": table.finished_operations + finished,
    }
    connection.execute(sa.update(EXECUTIONS).where(table.id == execution.id).values(**values))


def _context(operation: OutsideOperation) -> Mapping[str, Any]:
    """Return what the operation was told of itself, if it is one that an agent runs."""
    return _member(_member(_member(operation.parameters, "task_kwargs"), "kwargs"), "__cloudify_context")


def _member(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a mapping inside of another; clients' parameters are theirs, so that anything else may be there."""
    found = parent.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str | None:
    return None if value is None else str(value).replace("\0", "\ufffd")[:256]
