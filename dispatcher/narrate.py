"""The events that are recorded about an execution, in the REST API's vocabulary: which fields each of them fills.

The engine tells of what it does itself; `recorder` and the manager tell of operations whose execution need not be run
here, or runs elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outrider.dispatcher.run import Run
from outrider.dispatcher.store import events, jsontext
from outrider.dispatcher.store.events import Event
from outrider.dispatcher.store.executions import Execution
from outrider.dispatcher.store.tasks import StoredTask
from outrider.dispatcher.turn import Turn
from outrider.dispatcher.workflows.graph import Task
from outrider.messaging.messages import OperationError


def about_execution(turn: Turn, run: Run, event_type: str, message: str) -> None:
    """Record an event of the workflow as a whole."""
    turn.told.append(_row(turn, run, event_type, message))


def about_task(
    turn: Turn,
    run: Run,
    task: Task,
    event_type: str,
    message: str,
    *,
    causes: tuple[Mapping[str, Any], ...] | None = None,
) -> None:
    """Record an event of one task."""
    row = _row(turn, run, event_type, message)
    if run.model is not None and task.instance in run.model.instances:
        row["node"] = run.model.instances[task.instance].node
    row["operation"], row["instance"], row["target_instance"] = task.operation, task.instance, task.target
    if causes is not None:
        row["causes"] = jsontext.dump(causes)
    turn.told.append(row)


def of_execution(execution: Execution, event_type: str, message: str, *, happened_at: float) -> Event:
    """Return an event of a workflow as a whole; it need not be run here."""
    return Event(**_origin(execution, event_type, message), happened_at=happened_at)


def of_stored_task(execution: Execution, task: StoredTask, message: str, *, happened_at: float) -> Event:
    """Return an event of a task, of an execution that need not be run here."""
    return of_operation(
        execution,
        "workflow_event",
        message,
        happened_at=happened_at,
        operation=task.task.operation,
        instance=task.task.instance,
        target_instance=task.task.target,
    )


def of_operation(
    execution: Execution,
    event_type: str,
    message: str,
    *,
    happened_at: float,
    operation: str | None,
    instance: str | None,
    target_instance: str | None = None,
    causes: tuple[Mapping[str, Any], ...] | None = None,
) -> Event:
    """Return an event of one operation; its deployment need not be in memory: an instance's id tells its node."""
    return Event(
        **_origin(execution, event_type, message),
        happened_at=happened_at,
        operation=operation,
        node=None if instance is None else instance.rpartition("_")[0] or None,
        instance=instance,
        target_instance=target_instance,
        causes=causes,
    )


def subject(task: Task, task_id: str) -> str:
    """Name what a task does in a sentence: ``cloudify.interfaces.lifecycle.create of 'web_1'``."""
    name = task.operation or task_id
    if task.instance is None:
        return name
    return f"{name} of {task.instance!r}" + (f" towards {task.target!r}" if task.target else "")


def causes_of(error: OperationError | None) -> tuple[Mapping[str, Any], ...] | None:
    """Return an error and its causes as the REST API shows them."""
    if error is None:
        return None
    own = {"type": error.type, "message": error.message, "traceback": error.traceback}
    return (own, *error.causes)


def _row(turn: Turn, run: Run, event_type: str, message: str) -> dict[str, Any]:
    """Return a row of the store: two are written for every operation, so no `Event` is made for them."""
    return {
        **events.BLANK,
        **_origin(run.execution, event_type, events.storable(message)),
        "happened_at": turn.stored_now,
        "stored_at": turn.stored_now,
    }


def _origin(execution: Execution, event_type: str, message: str) -> dict[str, Any]:
    return {
        "message": message,
        "tenant": execution.tenant,
        "execution_id": execution.id,
        "deployment_id": execution.deployment_id,
        "workflow": execution.workflow,
        "event_type": event_type,
    }
