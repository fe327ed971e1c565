"""Task graphs and operations on the wire: the dispatcher's, and those kept for workflows that run elsewhere."""

from __future__ import annotations

from typing import Any

from outrider.dispatcher.store.graphs import StoredGraph
from outrider.dispatcher.store.outside import OutsideGraph, OutsideOperation
from outrider.dispatcher.store.tasks import StoredTask, TaskState
from outrider.manager_stub.outside import instance_of
from outrider.manager_stub.wire import time_text

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


def graph(stored: StoredGraph | OutsideGraph) -> dict[str, Any]:
    """Return a graph."""
    return {
        "id": stored.id,
        "execution_id": stored.execution_id,
        "name": stored.name,
        "created_at": time_text(stored.created_at),
    }


def own_operation(stored: StoredTask) -> dict[str, Any]:
    """Return a task of the dispatcher's."""
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


def kept_operation(stored: OutsideOperation) -> dict[str, Any]:
    """Return an operation of a workflow that runs elsewhere."""
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
