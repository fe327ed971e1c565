"""Operations: the dispatcher's, to be read, and those of workflows that run elsewhere, kept for them.

The dispatcher plans its graphs and records how their operations stand: nobody else writes them. An operation of those
that reports its state is told that all is well; what it says, the dispatcher knows from its agent.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from sqlalchemy.engine import Connection

from outrider.dispatcher.errors import NotFound
from outrider.dispatcher.store import outside, tasks
from outrider.dispatcher.store.outside import OutsideOperation
from outrider.manager_stub.bodies import NewOperationBody, OperationBody
from outrider.manager_stub.calls import Call, Operator, Reader
from outrider.manager_stub.errors import AtOdds, BadRequest
from outrider.manager_stub.graph_access import (
    check_operations_are_free,
    kept_operation,
    own_operation,
    read_execution,
    written_execution,
)
from outrider.manager_stub.listing import Listing, slice_of, truth
from outrider.manager_stub.outside import count_added, count_removed, record
from outrider.manager_stub.resource import own_row
from outrider.manager_stub.resources import EXECUTION
from outrider.manager_stub.shapes import operations as shapes

routes = APIRouter(tags=["operations"])

#: What an operation's report says beyond its state.
_OUTCOME = ("result", "exception", "exception_causes", "agent_name", "manager_name")


@routes.get("/operations")
def list_operations(call: Reader, listing: Listing) -> dict[str, Any]:
    """List the operations of an execution, or of one of its graphs."""
    with call.read() as connection:
        graph_ids = listing.filters.get("graph_id")
        if graph_ids:
            found = _of_graph(connection, call, graph_ids[-1])
        else:
            execution_id = read_execution(connection, call, listing)
            own, kept = tasks.of_execution(connection, execution_id), outside.of_execution(connection, execution_id)
            found = [*map(shapes.own_operation, own), *map(shapes.kept_operation, kept)]
    states = listing.filters.get("state")
    if truth((listing.filters.get("skip_internal") or ("",))[-1]):
        found = [each for each in found if each["type"] == "RemoteWorkflowTask"]
    return slice_of([each for each in found if states is None or each["state"] in states], listing)


@routes.get("/operations/{operation_id}")
def get_operation(call: Reader, operation_id: str) -> dict[str, Any]:
    """Return one operation."""
    with call.read() as connection:
        kept = kept_operation(connection, call, operation_id)
        if kept is not None:
            return shapes.kept_operation(kept)
        return shapes.own_operation(own_operation(connection, call, operation_id))


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
        execution = written_execution(connection, call, graph.execution_id)
        check_operations_are_free(connection, [operation_id])
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
        count_added(connection, execution, [made])
    return shapes.kept_operation(made)


@routes.patch("/operations/{operation_id}", status_code=200)
def patch_operation(call: Operator, operation_id: str, body: OperationBody) -> dict[str, Any]:
    """Hear an operation's report of its state: kept for workflows that run elsewhere, with its effects."""
    with call.write() as connection:
        kept = kept_operation(connection, call, operation_id, lock=True)
        if kept is None:
            call.check_execution(own_operation(connection, call, operation_id).execution_id)
            return {}
        execution = written_execution(connection, call, kept.execution_id)
        told = {name: value for name in _OUTCOME if (value := getattr(body, name)) is not None}
        stands = outside.update(connection, kept, state=body.state, outcome=told)
        if stands.state != kept.state:
            record(connection, execution, before=kept, after=stands, now=call.now(connection))
    return {}


@routes.delete("/operations/{operation_id}", status_code=204)
def delete_operation(call: Operator, operation_id: str) -> None:
    """Forget an operation of a workflow that runs elsewhere."""
    with call.write() as connection:
        kept = kept_operation(connection, call, operation_id, lock=True)
        if kept is None:
            own_operation(connection, call, operation_id)
            raise AtOdds(f"operation {operation_id!r} is the dispatcher's: nobody takes it out of its graph")
        execution = written_execution(connection, call, kept.execution_id)
        outside.delete(connection, operation_id)
        count_removed(connection, execution, kept)


def _of_graph(connection: Connection, call: Call, graph_id: str) -> list[dict[str, Any]]:
    """Return a graph's operations; of one that does not exist, or is nobody's business, there are none."""
    own = tasks.of_graph(connection, graph_id)
    kept = [] if own else outside.of_graph(connection, graph_id)
    for execution_id in {*(each.execution_id for each in own), *(each.execution_id for each in kept)}:
        own_row(connection, call, EXECUTION, execution_id)
    return [*map(shapes.own_operation, own), *map(shapes.kept_operation, kept)]
