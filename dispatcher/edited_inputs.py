"""Checks the names of inputs that a person gives an operation for its next attempt; called by `Dispatcher.decide`.

The plan has every input that the blueprint writes or its types give a default. A name beyond those is nearly always a
misspelt one, which the operation would be sent beside the one that was meant, and most functions swallow what they do
not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from outrider.dispatcher import operation as operations
from outrider.dispatcher.errors import UnknownInputs
from outrider.dispatcher.model import Model
from outrider.dispatcher.run import Run
from outrider.dispatcher.store import executions
from outrider.dispatcher.store.tasks import StoredTask
from outrider.dispatcher.workflows.brought import is_function
from outrider.dispatcher.workflows.graph import Workflow


def require_known(connection: Connection, stored: StoredTask, inputs: Mapping[str, Any]) -> None:
    """Raise `UnknownInputs` for names that the operation is not sent; `OperationRefused` if the plan has it no more."""
    known = {**_planned(connection, stored), **(stored.task.kwargs or {})}
    unknown = [name for name in inputs if name not in known]
    if unknown:
        raise UnknownInputs(stored.task.operation or stored.task.id, unknown, sorted(known))


def _planned(connection: Connection, stored: StoredTask) -> Mapping[str, Any]:
    """Return the inputs that the plan has for the operation."""
    if is_function(stored.task):
        # A workflow's function is sent the workflow's parameters, which are the task's own.
        return {}
    execution = executions.get(connection, stored.execution_id)
    key = None if execution.deployment_id is None else (execution.tenant, execution.deployment_id)
    model = None if key is None else Model.load(connection, key, {})
    # To look an operation up takes the plan alone: nothing of the workflow is run here.
    run = Run(execution, Workflow(name=execution.workflow, stages=()), model)
    return operations.find(run, stored.task).record.get("inputs") or {}
