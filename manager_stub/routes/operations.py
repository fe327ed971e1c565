"""Task graphs and operations, read from what the dispatcher stores.

The dispatcher plans graphs and records how operations stand: nobody else writes them. Operation-side code that reports
on its operation is heard, and told that all is well; what it says, the dispatcher knows from its agent.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from sqlalchemy.engine import Connection

from outrider.dispatcher.store import graphs, tasks
from outrider.dispatcher.store.graphs import StoredGraph
from outrider.dispatcher.store.tasks import StoredTask, TaskState
from outrider.manager_stub.bodies import OperationBody
from outrider.manager_stub.calls import Call, Operator, Reader
from outrider.manager_stub.errors import BadRequest, Forbidden, Missing
from outrider.manager_stub.listing import ListCall, Listing, slice_of, truth
from outrider.manager_stub.resource import own_row
from outrider.manager_stub.resources import EXECUTION
from outrider.manager_stub.wire import time_text

routes = APIRouter(tags=["operations"])

#: What clients call the states of a task.
STATES = {
    TaskState.PENDING: "pending",
    TaskState.SENDING: "started",
    TaskState.RESCHEDULED: "rescheduled",
    TaskState.SUCCEEDED: "succeeded",
    TaskState.FAILED: "failed",
    TaskState.SKIPPED: "succeeded",
    TaskState.CANCELLED: "failed",
    TaskState.SUPERSEDED: "failed",
}


@routes.get("/tasks_graphs")
def list_graphs(call: Reader, listing: Listing) -> dict[str, Any]:
    """List the graphs of an execution, stage by stage."""
    with call.read() as connection:
        execution_id = _execution(connection, call, listing)
        wanted = listing.filters.get("name")
        found = [_graph(each) for each in graphs.of_execution(connection, execution_id)]
    return slice_of([each for each in found if wanted is None or each["name"] in wanted], listing)


@routes.get("/operations")
def list_operations(call: Reader, listing: Listing) -> dict[str, Any]:
    """List the operations of an execution, or of one of its graphs."""
    with call.read() as connection:
        graph_ids = listing.filters.get("graph_id")
        if graph_ids:
            found = tasks.of_graph(connection, graph_ids[-1])
            if found:
                own_row(connection, call, EXECUTION, found[0].execution_id)
        else:
            found = tasks.of_execution(connection, _execution(connection, call, listing))
    if truth((listing.filters.get("skip_internal") or ("",))[-1]):
        found = [each for each in found if each.task.operation]
    return slice_of([_operation(each) for each in found], listing)


@routes.get("/operations/{operation_id}")
def get_operation(call: Reader, operation_id: str) -> dict[str, Any]:
    """Return one operation."""
    with call.read() as connection:
        return _operation(_own(connection, call, operation_id))


@routes.patch("/operations/{operation_id}", status_code=200)
def patch_operation(call: Operator, operation_id: str, _body: OperationBody) -> dict[str, Any]:
    """Hear an operation's report of its state."""
    with call.read() as connection:
        stored = _own(connection, call, operation_id)
        if call.caller.execution_id not in (None, stored.execution_id):
            raise Forbidden("this token is for another execution")
    return {}


def _execution(connection: Connection, call: Call, listing: ListCall) -> str:
    named = listing.filters.get("execution_id")
    if not named:
        raise BadRequest("name the execution: execution_id=…")
    own_row(connection, call, EXECUTION, named[-1])
    return named[-1]


def _own(connection: Connection, call: Call, operation_id: str) -> StoredTask:
    # An attempt's id, which operations know, is its task's id and a number.
    task_id = operation_id if operation_id.count(".") < 2 else operation_id.rpartition(".")[0]
    stored = tasks.get(connection, task_id)
    try:
        own_row(connection, call, EXECUTION, stored.execution_id)
    except Missing as error:
        raise Missing("operation", operation_id) from error
    return stored


def _graph(stored: StoredGraph) -> dict[str, Any]:
    return {
        "id": stored.id,
        "execution_id": stored.execution_id,
        "name": stored.name,
        "created_at": time_text(stored.created_at),
    }


def _operation(stored: StoredTask) -> dict[str, Any]:
    return {
        "id": stored.id,
        "name": stored.task.operation or stored.task.id,
        "state": STATES[stored.state],
        "type": "RemoteWorkflowTask" if stored.task.operation else "NOPLocalWorkflowTask",
        "parameters": {"current_retries": max(stored.attempt - 1, 0), "task_kwargs": {}},
        "dependencies": [f"{stored.graph_id}.{position}" for position in stored.dependencies],
        "tasks_graph_id": stored.graph_id,
        "tasks_graph_name": None,
        "execution_id": stored.execution_id,
        "node_instance_id": stored.task.instance,
        "agent_name": None,
        "manager_name": None,
        "is_nop": not stored.task.operation,
        "created_at": None,
        "error": stored.error,
    }
