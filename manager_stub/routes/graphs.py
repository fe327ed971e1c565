"""Task graphs: the dispatcher's, to be read, and those of workflows that run elsewhere, kept for them."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import APIRouter

from outrider.dispatcher.store import graphs, outside
from outrider.dispatcher.store.outside import OutsideGraph, OutsideOperation
from outrider.manager_stub.bodies import GraphBody
from outrider.manager_stub.calls import Operator, Reader
from outrider.manager_stub.graph_access import (
    check_graph_is_free,
    check_operations_are_free,
    read_execution,
    written_execution,
)
from outrider.manager_stub.listing import Listing, slice_of
from outrider.manager_stub.outside import count_added
from outrider.manager_stub.shapes import operations as shapes

routes = APIRouter(tags=["operations"])


@routes.get("/tasks_graphs")
def list_graphs(call: Reader, listing: Listing) -> dict[str, Any]:
    """List the graphs of an execution, stage by stage."""
    with call.read() as connection:
        execution_id = read_execution(connection, call, listing)
        wanted = listing.filters.get("name")
        own, kept = graphs.of_execution(connection, execution_id), outside.graphs_of(connection, execution_id)
    found = [*map(shapes.graph, own), *map(shapes.graph, kept)]
    return slice_of([each for each in found if wanted is None or each["name"] in wanted], listing)


@routes.post("/tasks_graphs", status_code=201)
@routes.post("/tasks_graphs/tasks_graphs", status_code=201)
def store_graph(call: Operator, body: GraphBody) -> dict[str, Any]:
    """Keep the task graph of a workflow that runs elsewhere, with its operations."""
    with call.write() as connection:
        execution = written_execution(connection, call, body.execution_id)
        now = call.now(connection)
        graph = OutsideGraph(
            id=body.graph_id or str(uuid.uuid4()), execution_id=execution.id, name=body.name, created_at=now
        )
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
        check_graph_is_free(connection, graph.id)
        check_operations_are_free(connection, [each.id for each in made])
        outside.insert_graph(connection, graph)
        outside.insert(connection, made)
        count_added(connection, execution, made)
    return shapes.graph(graph)
