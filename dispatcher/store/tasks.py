"""Tasks: the steps of a graph, as stored."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.errors import NotFound
from outrider.dispatcher.store import bulk, jsontext
from outrider.dispatcher.store.attempts import CHUNK
from outrider.dispatcher.store.schema import TASKS
from outrider.dispatcher.store.task_states import DONE, TaskState
from outrider.dispatcher.workflows.graph import Record, Side, Task, TaskKind

#: The states lie apart for those who follow executions, and need nothing of the graphs that tasks come from.
__all__ = ["DONE", "DecisionKind", "StoredTask", "TaskState"]


class DecisionKind(str, Enum):
    """What a person may say about an operation before a resume."""

    RETRY = "retry"
    DONE = "done"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTask:
    """A row."""

    id: str
    graph_id: str
    execution_id: str
    position: int
    task: Task
    dependencies: tuple[int, ...]
    state: TaskState = TaskState.PENDING
    attempt: int = 0
    retries: int = 0
    not_before: float | None = None
    error: str | None = None
    decision: Mapping[str, Any] | None = None


#: Fields of a planner's task that have columns of their own.
_COLUMNS = frozenset({"id", "kind", "operation", "instance"})
_SPEC = tuple(name for name in Task.__dataclass_fields__ if name not in _COLUMNS)
_SPEC_OF = operator.attrgetter(*_SPEC)
_DEFAULTS = tuple(Task.__dataclass_fields__[name].default for name in _SPEC)


def new_row(
    task: Task, dependencies: Iterable[int], *, graph_id: str, execution_id: str, position: int
) -> dict[str, Any]:
    """Return the row of a new task; `dependencies` are positions in the same graph."""
    values = _SPEC_OF(task)
    spec = "{}" if values == _DEFAULTS else jsontext.dump(_given(values))
    return {
        "id": f"{graph_id}.{position}",
        "graph_id": graph_id,
        "execution_id": execution_id,
        "position": position,
        "name": task.id,
        "kind": task.kind.value,
        "operation": task.operation,
        "instance": task.instance,
        "spec": spec,
        "dependencies": f"[{','.join(map(str, dependencies))}]",
        "state": TaskState.PENDING.value,
        "attempt": 0,
        "retries": 0,
        "not_before": None,
        "error": None,
        "decision": None,
    }


def _given(values: tuple[Any, ...]) -> dict[str, Any]:
    """Return the fields of a task's `spec` that are not as they are by default."""
    fields = zip(_SPEC, values, _DEFAULTS, strict=True)
    return {name: value for name, value, default in fields if value != default}


_INSERT = sa.insert(TASKS)


def insert(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store new tasks (see `new_row`)."""
    bulk.write(connection, _INSERT, rows)


#: The engine's write of a task's progress; rows are bound by `b_…` names.
UPDATE = (
    sa.update(TASKS)
    .where(TASKS.c.id == sa.bindparam("b_id"))
    .values(
        state=sa.bindparam("b_state"),
        attempt=sa.bindparam("b_attempt"),
        retries=sa.bindparam("b_retries"),
        not_before=sa.bindparam("b_not_before"),
        error=sa.bindparam("b_error"),
    )
)


def set_dependencies(connection: Connection, changes: Mapping[str, tuple[int, ...]]) -> None:
    """Store what tasks wait for, anew."""
    statement = (
        sa.update(TASKS).where(TASKS.c.id == sa.bindparam("b_id")).values(dependencies=sa.bindparam("b_dependencies"))
    )
    rows = [{"b_id": id_, "b_dependencies": jsontext.dump(positions)} for id_, positions in changes.items()]
    if rows:
        connection.execute(statement, rows)


def of_graph(connection: Connection, graph_id: str) -> list[StoredTask]:
    """Return a graph's tasks by position."""
    query = sa.select(TASKS).where(TASKS.c.graph_id == graph_id).order_by(TASKS.c.position)
    return [_record(row) for row in connection.execute(query)]


def of_execution(connection: Connection, execution_id: str) -> list[StoredTask]:
    """Return all tasks of an execution, stage by stage (stages have rising graph ids)."""
    query = sa.select(TASKS).where(TASKS.c.execution_id == execution_id).order_by(TASKS.c.graph_id, TASKS.c.position)
    return [_record(row) for row in connection.execute(query)]


def get(connection: Connection, task_id: str) -> StoredTask:
    """Return one task; raises `NotFound`."""
    row = connection.execute(sa.select(TASKS).where(TASKS.c.id == task_id)).one_or_none()
    if row is None:
        raise NotFound("operation", task_id)
    return _record(row)


def taken(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Return those of `ids` that tasks have."""
    found: set[str] = set()
    for begin in range(0, len(ids), CHUNK):
        found.update(connection.scalars(sa.select(TASKS.c.id).where(TASKS.c.id.in_(ids[begin : begin + CHUNK]))))
    return found


def decide(connection: Connection, task_id: str, decision: Mapping[str, Any]) -> None:
    """Store a person's decision; the next resume acts on it."""
    connection.execute(sa.update(TASKS).where(TASKS.c.id == task_id).values(decision=jsontext.dump(decision)))


def decided(task: StoredTask, attempt: int) -> bool:
    """Return whether a person has decided about a task since this attempt; a decision holds for what was known."""
    return task.decision is not None and int(task.decision.get("attempt", task.attempt)) >= attempt


def _record(row: Row[Any]) -> StoredTask:
    spec = jsontext.load(row.spec)
    if "side" in spec:
        spec["side"] = Side(spec["side"])
    if "record" in spec:
        spec["record"] = Record(spec["record"])
    task = Task(id=row.name, kind=TaskKind(row.kind), operation=row.operation, instance=row.instance, **spec)
    return StoredTask(
        id=row.id,
        graph_id=row.graph_id,
        execution_id=row.execution_id,
        position=row.position,
        task=task,
        dependencies=tuple(jsontext.load(row.dependencies)),
        state=TaskState(row.state),
        attempt=row.attempt,
        retries=row.retries,
        not_before=row.not_before,
        error=row.error,
        decision=jsontext.load(row.decision),
    )
