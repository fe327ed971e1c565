"""What may be asked of the dispatchers of a store by writing it there: any of them does it, in whatever process it is.

`Dispatcher` builds on this, and so do commands that have no engine of their own. Imports the store alone: a command
that only asks starts fast.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from outrider.dispatcher.store import decisions, executions, ownership
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.decisions import Decision
from outrider.dispatcher.store.executions import Cancel, Execution
from outrider.dispatcher.store.ownership import Member

Json = Mapping[str, Any]

#: Name of the workflow behind one operation that is sent to an agent directly.
DIRECT = "run_operation"


def start_operations(
    database: Database,
    agent_ids: Sequence[str],
    plugin: Json,
    operation: str,
    inputs: Json | None = None,
    *,
    timeout: float | None,
    tenant: str,
    owner: Callable[[float], Member] | None = None,
) -> list[Execution]:
    """Have one operation run on each of the agents, without a deployment; one execution each, in their order.

    `owner` is a dispatcher that lives, as of a time by the store's clock: no other runs them while its lease lasts.
    """
    record = {"plugin": plugin["name"], "operation": operation, "inputs": dict(inputs or {}), "timeout": timeout}
    direct = {"operation": operation, "record": record, "plugin_entry": dict(plugin)}
    with database.begin() as connection:
        now = database.now(connection)
        member = None if owner is None else owner(now)
        if member is not None:
            # Stored with them: to the others, a dispatcher without a lease is a dead one.
            ownership.renew(connection, member)
        asked = [
            Execution(
                id=str(uuid.uuid4()),
                workflow=DIRECT,
                tenant=tenant,
                details={"direct": {**direct, "agent": agent_id}},
                owner=None if member is None else member.id,
            )
            for agent_id in agent_ids
        ]
        return executions.insert_free(connection, asked, now=now)


def cancel(database: Database, execution_id: str, kind: Cancel, *, decided_by: str) -> Execution:
    """Have an execution cancelled. Raises `NotFound`, `Conflict`."""
    with database.begin() as connection:
        now = database.now(connection)
        execution = executions.request_cancel(connection, execution_id, kind, now=now)
        decision = Decision(execution_id=execution_id, decision=kind.value, decided_by=decided_by)
        decisions.append(connection, decision, now=now)
    return execution
