"""Whose task graphs and operations a caller may read and write; `routes.graphs` and `routes.operations` ask here.

Both kinds are reached by the same routes: the dispatcher's, which nobody else writes, and those that are kept for
workflows that run elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from outrider.dispatcher.store import executions, graphs, outside, tasks
from outrider.dispatcher.store.executions import Execution
from outrider.dispatcher.store.outside import OutsideOperation
from outrider.dispatcher.store.tasks import StoredTask
from outrider.manager_stub.calls import Call
from outrider.manager_stub.errors import AtOdds, BadRequest, Missing
from outrider.manager_stub.listing import ListCall
from outrider.manager_stub.resource import own_row
from outrider.manager_stub.resources import EXECUTION


def read_execution(connection: Connection, call: Call, listing: ListCall) -> str:
    """Return the execution whose graphs or operations are listed; raises BadRequest, Missing."""
    named = listing.filters.get("execution_id")
    if not named:
        raise BadRequest("name the execution: execution_id=…")
    own_row(connection, call, EXECUTION, named[-1])
    return named[-1]


def written_execution(connection: Connection, call: Call, execution_id: str) -> Execution:
    """Return the execution whose graphs a caller changes; raises Missing, Forbidden."""
    execution = executions.of_row(own_row(connection, call, EXECUTION, execution_id))
    call.check_execution(execution_id)
    return execution


def kept_operation(
    connection: Connection, call: Call, operation_id: str, *, lock: bool = False
) -> OutsideOperation | None:
    """Return an operation of a workflow that runs elsewhere, if this is one's id; raises Missing."""
    kept = outside.find(connection, operation_id, lock=lock)
    if kept is not None:
        _check_seen(connection, call, operation_id, kept.execution_id)
    return kept


def own_operation(connection: Connection, call: Call, operation_id: str) -> StoredTask:
    """Return one of the dispatcher's operations; raises Missing."""
    # An attempt's id, which operations know, is its task's id and a number.
    task_id = operation_id if operation_id.count(".") < 2 else operation_id.rpartition(".")[0]
    stored = tasks.get(connection, task_id)
    _check_seen(connection, call, operation_id, stored.execution_id)
    return stored


def check_graph_is_free(connection: Connection, graph_id: str) -> None:
    """Keep the ids of the dispatcher's graphs from being taken; raises AtOdds."""
    if graphs.exists(connection, graph_id):
        raise AtOdds(f"the id {graph_id!r} is taken by a graph of the dispatcher's")


def check_operations_are_free(connection: Connection, operation_ids: Sequence[str]) -> None:
    """Keep the ids of the dispatcher's tasks from being taken: reports about them are for it. Raises AtOdds."""
    taken = sorted(tasks.taken(connection, operation_ids))
    if taken:
        raise AtOdds(f"ids are taken by operations of the dispatcher's: {', '.join(map(repr, taken[:5]))}")


def _check_seen(connection: Connection, call: Call, operation_id: str, execution_id: str) -> None:
    try:
        own_row(connection, call, EXECUTION, execution_id)
    except Missing as error:
        raise Missing("operation", operation_id) from error
