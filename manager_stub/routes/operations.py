"""Task graphs and operations: the dispatcher's, to be read, and those of workflows that run elsewhere, kept for them.

The dispatcher plans its graphs and records how their operations stand: nobody else writes them. An operation of those
that reports its state is told that all is well; what it says, the dispatcher knows from its agent.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.errors import NotFound
from outrider.dispatcher.store import graphs, outside, tasks
from outrider.dispatcher.store.graphs import StoredGraph
from outrider.dispatcher.store.outside import OutsideGraph, OutsideOperation
from outrider.dispatcher.store.tasks import StoredTask, TaskState
from outrider.manager_stub.bodies import GraphBody, NewOperationBody, OperationBody
from outrider.manager_stub.calls import Call, Operator, Reader
from outrider.manager_stub.errors import AtOdds, BadRequest, Forbidden, Missing
from outrider.manager_stub.listing import ListCall, Listing, slice_of, truth
from outrider.manager_stub.outside import count_planned, instance_of, record
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


#: What an operation's report says beyond its state.
_OUTCOME = ("result", "exception", "exception_causes", "agent_name", "manager_name")


@routes.get("/tasks_graphs")
def list_graphs(call: Reader, listing: Listing) -> dict[str, Any]:
    """List the graphs of an execution, stage by stage."""
    with call.read() as connection:
        execution_id = _execution(connection, call, listing)
        wanted = listing.filters.get("name")
        own, kept = graphs.of_execution(connection, execution_id), outside.graphs_of(connection, execution_id)
        found = [*map(_graph, own), *map(_graph, kept)]
    return slice_of([each for each in found if wanted is None or each["name"] in wanted], listing)


@routes.post("/tasks_graphs", status_code=201)
@routes.post("/tasks_graphs/tasks_graphs", status_code=201)
def store_graph(call: Operator, body: GraphBody) -> dict[str, Any]:
    """Keep the task graph of a workflow that runs elsewhere, with its operations."""
    with call.write() as connection:
        execution = _written(connection, call, body.execution_id)
        now = call.now(connection)
        graph = OutsideGraph(
            id=body.graph_id or str(uuid.uuid4()), execution_id=execution.id, name=body.name, created_at=now
        )
        _check_free(connection, body.graph_id, graphs_too=True)
        outside.insert_graph(connection, graph)
        made = [
            OutsideOperation(
                graph_id=graph.id,
                execution_id=execution.id,
                position=position,
                created_at=now,
                **{**each.model_dump(), "dependencies": tuple(each.dependencies)},
            )
            for position, each in enumerate(body.operations)
        ]
        for each in made:
            _check_free(connection, each.id)
        outside.insert(connection, made)
        count_planned(connection, execution, made)
    return _graph(graph)


@routes.get("/operations")
def list_operations(call: Reader, listing: Listing) -> dict[str, Any]:
    """List the operations of an execution, or of one of its graphs."""
    with call.read() as connection:
        graph_ids = listing.filters.get("graph_id")
        if graph_ids:
            found = _of_graph(connection, call, graph_ids[-1])
        else:
            execution_id = _execution(connection, call, listing)
            own, kept = tasks.of_execution(connection, execution_id), outside.of_execution(connection, execution_id)
            found = [*map(_operation, own), *map(_kept, kept)]
    states = listing.filters.get("state")
    if truth((listing.filters.get("skip_internal") or ("",))[-1]):
        found = [each for each in found if each["type"] == "RemoteWorkflowTask"]
    return slice_of([each for each in found if states is None or each["state"] in states], listing)


@routes.get("/operations/{operation_id}")
def get_operation(call: Reader, operation_id: str) -> dict[str, Any]:
    """Return one operation."""
    with call.read() as connection:
        kept = _find_kept(connection, call, operation_id)
        return _kept(kept) if kept is not None else _operation(_own(connection, call, operation_id))


@routes.put("/operations/{operation_id}", status_code=201)
def store_operation(call: Operator, operation_id: str, body: NewOperationBody) -> dict[str, Any]:
    """Add an operation to the graph of a workflow that runs elsewhere."""
    if not operation_id or len(operation_id) > 256 or "\0" in operation_id:
        raise BadRequest("an operation's id has 1 to 256 characters")
    with call.write() as connection:
        try:
            graph = outside.get_graph(connection, body.graph_id)
        except NotFound:
            if not _of_graph(connection, call, body.graph_id):  # which raises Missing for who may not know of it
                raise
            raise AtOdds(f"graph {body.graph_id!r} is planned by the dispatcher: nobody adds to it") from None
        execution = _written(connection, call, graph.execution_id)
        _check_free(connection, operation_id)
        made = OutsideOperation(
            id=operation_id,
            graph_id=graph.id,
            execution_id=graph.execution_id,
            position=outside.size_of(connection, graph.id),
            name=body.name,
            type=body.type,
            parameters=body.parameters,
            dependencies=tuple(body.dependencies),
            created_at=graph.created_at,
        )
        outside.insert(connection, [made])
        count_planned(connection, execution, [made])
    return _kept(made)


@routes.patch("/operations/{operation_id}", status_code=200)
def patch_operation(call: Operator, operation_id: str, body: OperationBody) -> dict[str, Any]:
    """Hear an operation's report of its state: kept for workflows that run elsewhere, with its effects."""
    with call.write() as connection:
        kept = _find_kept(connection, call, operation_id)
        if kept is None:
            stored = _own(connection, call, operation_id)
            _check_execution(call, stored.execution_id)
            return {}
        execution = _written(connection, call, kept.execution_id)
        told = {name: value for name in _OUTCOME if (value := getattr(body, name)) is not None}
        if outside.update(connection, kept, state=body.state, outcome=told):
            found = outside.find(connection, operation_id) or kept
            record(connection, execution, found, state=found.state, now=call.now(connection))
    return {}


@routes.delete("/operations/{operation_id}", status_code=204)
def delete_operation(call: Operator, operation_id: str) -> None:
    """Forget an operation of a workflow that runs elsewhere."""
    with call.write() as connection:
        kept = _find_kept(connection, call, operation_id)
        if kept is None:
            _own(connection, call, operation_id)
            raise AtOdds(f"operation {operation_id!r} is the dispatcher's: nobody takes it out of its graph")
        _check_execution(call, kept.execution_id)
        outside.delete(connection, operation_id)


def _of_graph(connection: Connection, call: Call, graph_id: str) -> list[dict[str, Any]]:
    """Return a graph's operations; of one that does not exist, or is nobody's business, there are none."""
    own = tasks.of_graph(connection, graph_id)
    kept = [] if own else outside.of_graph(connection, graph_id)
    for execution_id in {*(each.execution_id for each in own), *(each.execution_id for each in kept)}:
        own_row(connection, call, EXECUTION, execution_id)
    return [*map(_operation, own), *map(_kept, kept)]


def _written(connection: Connection, call: Call, execution_id: str) -> Row[Any]:
    """Return the execution whose graphs a caller changes; raises Missing, Forbidden."""
    row = own_row(connection, call, EXECUTION, execution_id)
    _check_execution(call, execution_id)
    return row


def _check_execution(call: Call, execution_id: str) -> None:
    if call.caller.execution_id not in (None, execution_id):
        raise Forbidden("this token is for another execution")


def _check_free(connection: Connection, wanted: str | None, *, graphs_too: bool = False) -> None:
    """Keep the dispatcher's ids from being taken: reports about them are looked up here first."""
    exists: Callable[[Connection, str], object] = tasks.of_graph if graphs_too else _task
    if wanted is not None and exists(connection, wanted):
        raise AtOdds(f"the id {wanted!r} is taken")


def _task(connection: Connection, task_id: str) -> StoredTask | None:
    try:
        return tasks.get(connection, task_id)
    except NotFound:
        return None


def _execution(connection: Connection, call: Call, listing: ListCall) -> str:
    named = listing.filters.get("execution_id")
    if not named:
        raise BadRequest("name the execution: execution_id=…")
    own_row(connection, call, EXECUTION, named[-1])
    return named[-1]


def _find_kept(connection: Connection, call: Call, operation_id: str) -> OutsideOperation | None:
    kept = outside.find(connection, operation_id)
    if kept is not None:
        try:
            own_row(connection, call, EXECUTION, kept.execution_id)
        except Missing as error:
            raise Missing("operation", operation_id) from error
    return kept


def _own(connection: Connection, call: Call, operation_id: str) -> StoredTask:
    # An attempt's id, which operations know, is its task's id and a number.
    task_id = operation_id if operation_id.count(".") < 2 else operation_id.rpartition(".")[0]
    stored = tasks.get(connection, task_id)
    try:
        own_row(connection, call, EXECUTION, stored.execution_id)
    except Missing as error:
        raise Missing("operation", operation_id) from error
    return stored


def _graph(stored: StoredGraph | OutsideGraph) -> dict[str, Any]:
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


def _kept(stored: OutsideOperation) -> dict[str, Any]:
    return {
        "id": stored.id,
        "name": stored.name,
        "state": stored.state,
        "type": stored.type,
        "parameters": stored.parameters,
        "dependencies": list(stored.dependencies),
        "tasks_graph_id": stored.graph_id,
        "tasks_graph_name": None,
        "execution_id": stored.execution_id,
        "node_instance_id": instance_of(stored),
        "agent_name": stored.outcome.get("agent_name"),
        "manager_name": stored.outcome.get("manager_name"),
        "is_nop": stored.type == "NOPLocalWorkflowTask",
        "created_at": time_text(stored.created_at),
        "error": stored.outcome.get("exception"),
        "result": stored.outcome.get("result"),
    }
