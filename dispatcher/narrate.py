"""The events that the engine itself records about an execution, in the REST API's vocabulary."""

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


def of_stored_task(execution: Execution, task: StoredTask, message: str, *, happened_at: float) -> Event:
    """Return an event of a task, of an execution that need not be run here."""
    return Event(
        message=message,
        happened_at=happened_at,
        tenant=execution.tenant,
        execution_id=execution.id,
        deployment_id=execution.deployment_id,
        workflow=execution.workflow,
        event_type="workflow_event",
        operation=task.task.operation,
        node=(task.task.instance or "").rsplit("_", 1)[0] or None,
        instance=task.task.instance,
        target_instance=task.task.target,
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
    execution = run.execution
    return {
        **events.BLANK,
        "message": events.storable(message),
        "happened_at": turn.stored_now,
        "stored_at": turn.stored_now,
        "tenant": execution.tenant,
        "execution_id": execution.id,
        "deployment_id": execution.deployment_id,
        "workflow": execution.workflow,
        "event_type": event_type,
    }
