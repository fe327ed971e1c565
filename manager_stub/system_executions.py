"""Records of what the manager itself does: clients wait for the execution that "uploads" a blueprint.

Outrider reads a blueprint while it is uploaded, so such an execution has ended when its record is made; the dispatcher
never sees it as work.
"""

from __future__ import annotations

import uuid

from sqlalchemy.engine import Connection

from outrider.dispatcher import narrate
from outrider.dispatcher.store import events, executions
from outrider.dispatcher.store.executions import Execution, Status

UPLOAD_BLUEPRINT = "upload_blueprint"
#: Left out of lists unless they are asked for.
SYSTEM_WORKFLOWS = frozenset({UPLOAD_BLUEPRINT})


def record_upload(
    connection: Connection, *, tenant: str, blueprint_id: str, user: str, error: str | None, now: float
) -> str:
    """Record that a blueprint was taken in, or was not; return the execution's id."""
    status = Status.TERMINATED if error is None else Status.FAILED
    record = Execution(
        id=str(uuid.uuid4()),
        workflow=UPLOAD_BLUEPRINT,
        tenant=tenant,
        blueprint_id=blueprint_id,
        parameters={"blueprint_id": blueprint_id},
        status=status,
        error=error,
        created_by=user,
        started_at=now,
        ended_at=now,
    )
    executions.insert(connection, record, now=now)
    text = f"blueprint {blueprint_id} is uploaded" if error is None else f"blueprint {blueprint_id}: {error}"
    kind = "workflow_succeeded" if error is None else "workflow_failed"
    events.append(connection, [narrate.of_execution(record, kind, text, happened_at=now)], now=now)
    return record.id
