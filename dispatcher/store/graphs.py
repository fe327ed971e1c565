"""Task graphs: one per stage of an execution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.store import bulk, jsontext
from outrider.dispatcher.store.schema import GRAPHS


class GraphState(str, Enum):
    """What became of a stage."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredGraph:
    """A row."""

    id: str
    execution_id: str
    name: str
    position: int
    state: GraphState
    subgraphs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    after: tuple[Mapping[str, Any], ...] = ()
    created_at: float = 0.0


def insert(connection: Connection, graph: StoredGraph) -> None:
    """Store a graph (its tasks are in `store.tasks`)."""
    row = {name: getattr(graph, name) for name in StoredGraph.__dataclass_fields__}
    row |= {
        "state": graph.state.value,
        "subgraphs": jsontext.dump(graph.subgraphs),
        "after": jsontext.dump(graph.after),
    }
    bulk.write(connection, _INSERT, [row])


def of_execution(connection: Connection, execution_id: str) -> list[StoredGraph]:
    """Return an execution's graphs in the order of its stages."""
    query = sa.select(GRAPHS).where(GRAPHS.c.execution_id == execution_id).order_by(GRAPHS.c.position)
    return [_record(row) for row in connection.execute(query)]


def exists(connection: Connection, graph_id: str) -> bool:
    """Tell whether a graph has this id."""
    return connection.execute(sa.select(sa.exists().where(GRAPHS.c.id == graph_id))).scalar_one() is True


def set_state(connection: Connection, graph_id: str, state: GraphState) -> None:
    """Store what became of a stage."""
    bulk.change(connection, _SET_STATE, {"b_id": graph_id, "b_state": state.value})


def set_subgraphs(connection: Connection, graph_id: str, subgraphs: Mapping[str, Any]) -> None:
    """Store the subgraphs anew (a recovery added some)."""
    connection.execute(sa.update(GRAPHS).where(GRAPHS.c.id == graph_id).values(subgraphs=jsontext.dump(subgraphs)))


def _record(row: Row[Any]) -> StoredGraph:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    values["state"] = GraphState(values["state"])
    values["subgraphs"] = jsontext.load(values["subgraphs"])
    values["after"] = tuple(jsontext.load(values["after"]))
    return StoredGraph(**values)


# Every stage of every execution is stored and closed: made and compiled once.
_INSERT = sa.insert(GRAPHS)
_SET_STATE = sa.update(GRAPHS).where(GRAPHS.c.id == sa.bindparam("b_id")).values(state=sa.bindparam("b_state"))
