"""The deployments inside another one (label ``csys-obj-parent``): a workflow of theirs that an execution waits for.

Called by `progress` for the tasks of kind CHILDREN, each time that the task is looked at: first the executions are
stored, in the same transaction; from then on their states are read. Their ids follow from the task, so whoever takes
the execution up finds them again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import sqlalchemy as sa

from outrider.dispatcher.model import Model
from outrider.dispatcher.run import Run
from outrider.dispatcher.store import deployments, executions
from outrider.dispatcher.store.executions import ENDED, Execution, Status
from outrider.dispatcher.store.schema import EXECUTIONS
from outrider.dispatcher.turn import Turn
from outrider.dispatcher.workflows.availability import require_available
from outrider.dispatcher.workflows.errors import WorkflowError
from outrider.dispatcher.workflows.graph import Task

PARENT_LABEL = "csys-obj-parent"
#: How long after one look at the children the next one is due.
LOOK_SECONDS = 2.0
#: Where a child's execution keeps the deployments whose executions wait for it, so that a ring of parents is noticed.
_WAITING = "waiting_deployments"


@dataclass(frozen=True, slots=True, kw_only=True)
class Children:
    """How the executions of the deployments inside stand."""

    open: tuple[str, ...]
    failed: tuple[str, ...]


def lead(turn: Turn, run: Run, task: Task, *, number: int) -> Children:
    """Start the workflow `task.operation` of the deployments inside, or tell how it stands there.

    `number` counts the tries of the task: another one starts other executions.
    """
    prefix = hashlib.sha256(f"{run.id}/{task.id}/{number}".encode()).hexdigest()[:24]
    known = _started(turn, prefix)
    if not known and run.model is not None:
        _start(turn, run, run.model, task, prefix)
        known = _started(turn, prefix)
    ended = {each.value for each in ENDED}
    return Children(
        open=tuple(f"{row.id} of {row.deployment_id!r}" for row in known if row.status not in ended),
        failed=tuple(
            f"{row.id} of {row.deployment_id!r} ({row.error or row.status})"
            for row in known
            if row.status in ended and row.status != Status.TERMINATED.value
        ),
    )


def _started(turn: Turn, prefix: str) -> list[sa.Row[tuple[str, str, str, str]]]:
    columns = (EXECUTIONS.c.id, EXECUTIONS.c.deployment_id, EXECUTIONS.c.status, EXECUTIONS.c.error)
    # A range, because it is answered from the primary key, whatever a database does about LIKE. Its ends differ in
    # digits only: where other signs stand in the order of a database is not the same everywhere.
    query = sa.select(*columns).where(EXECUTIONS.c.id.between(f"{prefix}-0000", f"{prefix}-9999"))
    return list(turn.connection.execute(query.order_by(EXECUTIONS.c.id)))


def _start(turn: Turn, run: Run, model: Model, task: Task, prefix: str) -> None:
    waiting = [*run.execution.details.get(_WAITING, ()), model.deployment.id]
    inside = [
        each
        for each in deployments.listed(turn.connection, model.deployment.tenant)
        if model.deployment.id in each.details.get("labels", {}).get(PARENT_LABEL, ()) and each.id not in waiting
    ]
    for place, child in enumerate(inside):
        view = Model.load(turn.connection, child.key, {}).view()
        try:
            require_available(task.operation or "", view)
        except WorkflowError:
            # Nothing of it is installed.
            continue
        record = Execution(
            id=f"{prefix}-{place:04d}",
            workflow=task.operation or "",
            tenant=child.tenant,
            deployment_id=child.id,
            blueprint_id=child.blueprint_id,
            parameters=dict(task.kwargs or {}),
            queue=True,
            created_by=run.execution.created_by,
            wait_after_fail_seconds=run.execution.wait_after_fail_seconds,
            details={_WAITING: waiting},
        )
        executions.insert(turn.connection, record, now=turn.stored_now)
