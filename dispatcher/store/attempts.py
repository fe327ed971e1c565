"""Attempts: one try at a task each; the evidence that promises 1 and 2 rest on."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outrider.dispatcher.store import bulk, jsontext
from outrider.dispatcher.store.schema import ATTEMPTS
from outrider.messaging.verdicts import Proof, Verdict

#: SQLite accepts 32,766 parameters a statement; this keeps far below and the statement cache small.
CHUNK = 500


class AttemptState(str, Enum):
    """How far an attempt is known to have come."""

    #: Committed; the broker may have it or not.
    SENDING = "sending"
    #: The broker confirmed it.
    SENT = "sent"
    #: The agent said that it runs.
    STARTED = "started"
    #: There is a verdict.
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A row without its message."""

    id: str
    task_id: str
    execution_id: str
    number: int
    agent_id: str
    token_hash: str
    state: AttemptState
    verdict: Verdict | None
    applied: bool
    created_at: float
    sent_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    proof: str | None = None
    result: Mapping[str, Any] | None = None
    late_result: Mapping[str, Any] | None = None
    property_sequence: int = 0
    secrets: tuple[str, ...] = ()


#: Verdicts that say that we do not know; a late result may take their place.
UNCERTAIN = frozenset({Verdict.MAY_HAVE_RUN, Verdict.RESULT_LOST, Verdict.NOT_CONFIRMED})

_COLUMNS = [ATTEMPTS.c[name] for name in Attempt.__dataclass_fields__]

INSERT = sa.insert(ATTEMPTS)

#: Progress that never goes backwards: a late confirmation does not turn `started` into `sent`.
SENT = (
    sa.update(ATTEMPTS)
    .where(ATTEMPTS.c.id == sa.bindparam("b_id"), ATTEMPTS.c.state == AttemptState.SENDING.value)
    .values(state=AttemptState.SENT.value, sent_at=sa.bindparam("b_at"))
)
STARTED = (
    sa.update(ATTEMPTS)
    .where(ATTEMPTS.c.id == sa.bindparam("b_id"), ATTEMPTS.c.state != AttemptState.ENDED.value)
    .values(state=AttemptState.STARTED.value, started_at=sa.bindparam("b_at"))
)
#: The first terminal verdict wins: the condition makes it so.
END = (
    sa.update(ATTEMPTS)
    .where(ATTEMPTS.c.id == sa.bindparam("b_id"), ATTEMPTS.c.state != AttemptState.ENDED.value)
    .values(
        state=AttemptState.ENDED.value,
        verdict=sa.bindparam("b_verdict"),
        applied=sa.bindparam("b_applied"),
        ended_at=sa.bindparam("b_at"),
        proof=sa.bindparam("b_proof"),
        result=sa.bindparam("b_result"),
        body=None,
    )
)
APPLIED = sa.update(ATTEMPTS).where(ATTEMPTS.c.id == sa.bindparam("b_id")).values(applied=True)
PROPERTY_SEQUENCE = (
    sa.update(ATTEMPTS)
    .where(ATTEMPTS.c.id == sa.bindparam("b_id"))
    .values(property_sequence=sa.bindparam("b_sequence"))
)
LATE = sa.update(ATTEMPTS).where(ATTEMPTS.c.id == sa.bindparam("b_id")).values(late_result=sa.bindparam("b_result"))
#: A late result takes the place of `may have run`.
REPLACE = (
    sa.update(ATTEMPTS)
    .where(ATTEMPTS.c.id == sa.bindparam("b_id"))
    .values(
        verdict=sa.bindparam("b_verdict"),
        proof=sa.bindparam("b_proof"),
        result=sa.bindparam("b_result"),
        applied=sa.bindparam("b_applied"),
    )
)


def replacement(attempt_id: str, late: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row for `REPLACE` from a late result as it is stored."""
    stored = {name: value for name, value in late.items() if name not in ("verdict", "proof")}
    return {
        "b_id": attempt_id,
        "b_verdict": late["verdict"],
        "b_proof": late.get("proof", Proof.NONE.value),
        "b_result": jsontext.dump(stored),
        "b_applied": True,
    }


_NAMES = tuple(Attempt.__dataclass_fields__)
_OF_IDS: Mapping[str, sa.ColumnElement[bool]] = {
    "sqlite": ATTEMPTS.c.id.in_(
        sa.select(sa.column("value")).select_from(sa.func.json_each(sa.bindparam("b_ids", type_=sa.Text)))
    ),
    "postgresql": ATTEMPTS.c.id == sa.any_(sa.bindparam("b_ids", type_=sa.ARRAY(sa.Text))),
}


def _of_ids(columns: Sequence[sa.Column[Any]]) -> dict[tuple[str, bool], sa.Select[Any]]:
    """Return the statements that read these columns of some attempts, by dialect and whether the rows are locked."""
    plain = {dialect: sa.select(*columns).where(some) for dialect, some in _OF_IDS.items()}
    # Always in the same order, so that two dispatchers cannot wait for each other; SQLite has no locks of rows.
    locking = plain["postgresql"].order_by(ATTEMPTS.c.id).with_for_update()
    return {
        ("sqlite", False): plain["sqlite"],
        ("sqlite", True): plain["sqlite"],
        ("postgresql", False): plain["postgresql"],
        ("postgresql", True): locking,
    }


_BY_IDS = _of_ids(_COLUMNS)
_STATES = _of_ids((ATTEMPTS.c.id, ATTEMPTS.c.state))
_UNAPPLIED = {
    key: statement.where(ATTEMPTS.c.state == AttemptState.ENDED.value, ATTEMPTS.c.applied.is_(False))
    for key, statement in _BY_IDS.items()
}


def by_ids(connection: Connection, ids: Collection[str], *, lock: bool = False) -> dict[str, Attempt]:
    """Return the attempts of `ids` that exist; `lock`: until the transaction's end (SQLite: it has the only one)."""
    return {row[0]: _record(row) for row in _some(connection, _BY_IDS, ids, lock=lock)}


def lock_states(connection: Connection, ids: Collection[str]) -> dict[str, AttemptState]:
    """Lock the attempts of `ids` that exist, as `by_ids` does; return how far they have come, and nothing else."""
    return {attempt_id: AttemptState(state) for attempt_id, state in _some(connection, _STATES, ids, lock=True)}


def last_begun(connection: Connection, made: Mapping[str, int]) -> dict[str, Attempt]:
    """Return task → its last ended attempt of which it is not known that it never started.

    `made`: how many attempts each task has had; their ids follow from that.
    """
    found: dict[str, Attempt] = {}
    ids = [f"{task_id}.{number}" for task_id, last in made.items() for number in range(1, last + 1)]
    for attempt in by_ids(connection, ids).values():
        known = found.get(attempt.task_id)
        if attempt.verdict in (None, Verdict.NEVER_STARTED) or (known is not None and known.number > attempt.number):
            continue
        found[attempt.task_id] = attempt
    return found


def of_execution(connection: Connection, execution_id: str) -> list[Attempt]:
    """Return an execution's attempts in the order of their making."""
    query = (
        sa.select(*_COLUMNS)
        .where(ATTEMPTS.c.execution_id == execution_id)
        .order_by(ATTEMPTS.c.created_at, ATTEMPTS.c.number, ATTEMPTS.c.id)
    )
    return [_record(row) for row in connection.execute(query)]


def unapplied(connection: Connection, ids: Collection[str]) -> list[Attempt]:
    """Return those of `ids` that have ended, by another dispatcher's recording, and whose owner has not acted on it."""
    return [_record(row) for row in _some(connection, _UNAPPLIED, ids)]


def bodies(connection: Connection, ids: Sequence[str]) -> dict[str, bytes]:
    """Return the messages of open attempts, to be published again under the same ids."""
    found: dict[str, bytes] = {}
    for chunk in _chunks(ids):
        query = sa.select(ATTEMPTS.c.id, ATTEMPTS.c.body).where(ATTEMPTS.c.id.in_(chunk), ATTEMPTS.c.body.is_not(None))
        found.update({row.id: bytes(row.body) for row in connection.execute(query)})
    return found


def _chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    all_ids = list(ids)
    for start in range(0, len(all_ids), CHUNK):
        yield all_ids[start : start + CHUNK]


def _some(
    connection: Connection,
    statements: Mapping[tuple[str, bool], sa.Select[Any]],
    ids: Collection[str],
    *,
    lock: bool = False,
) -> list[tuple[Any, ...]]:
    """Return rows of any number of attempts by a statement that is compiled once: all ids are one parameter."""
    if not ids:
        return []
    dialect = connection.dialect.name
    values = {"b_ids": json.dumps(list(ids)) if dialect == "sqlite" else list(ids)}
    return bulk.rows(connection, statements[dialect, lock], values)


def _record(row: Iterable[Any]) -> Attempt:
    """Return an attempt from its columns, in the order of `Attempt`'s fields."""
    values = dict(zip(_NAMES, row, strict=True))
    values["state"] = AttemptState(values["state"])
    values["verdict"] = None if values["verdict"] is None else Verdict(values["verdict"])
    values["applied"] = bool(values["applied"])
    values["result"], values["late_result"] = jsontext.load(values["result"]), jsontext.load(values["late_result"])
    values["secrets"] = tuple(jsontext.load(values["secrets"]) or ())
    return Attempt(**values)
