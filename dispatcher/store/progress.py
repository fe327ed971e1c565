"""Reads what people watch: the operations under way, and where the time of those that ended went.

For the command line and the manager's page; an execution may have 100,000 tasks, so only what is shown is read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outrider.dispatcher.store import jsontext
from outrider.dispatcher.store.attempts import AttemptState
from outrider.dispatcher.store.schema import AGENTS, ATTEMPTS, EVENTS, TASKS
from outrider.dispatcher.store.task_states import TaskState

_SUCCEEDED = "succeeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOperation:
    """An attempt without a verdict."""

    attempt_id: str
    execution_id: str
    number: int
    operation: str
    instance: str | None
    agent_id: str
    state: AttemptState
    created_at: float
    started_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingRetry:
    """A task that waits for the time of its next attempt."""

    operation: str
    instance: str | None
    not_before: float
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedAttempt:
    """An attempt with its verdict and, if the agent told, the durations of its stages in seconds."""

    operation: str
    instance: str | None
    agent_id: str
    number: int
    verdict: str
    created_at: float
    ended_at: float
    durations: Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What an ended attempt left behind besides its log: the error's traceback, and the end of what it printed."""

    operation: str
    instance: str | None
    number: int
    verdict: str
    traceback: str
    stdout_tail: str
    stderr_tail: str


def open_operations(connection: Connection, execution_id: str, *, limit: int = 100) -> list[OpenOperation]:
    """Return an execution's open attempts, oldest first."""
    return _open(connection, ATTEMPTS.c.execution_id == execution_id, limit)


def operations_on(connection: Connection, agent_id: str, *, limit: int = 100) -> list[OpenOperation]:
    """Return an agent's open attempts, of all executions, oldest first."""
    return _open(connection, ATTEMPTS.c.agent_id == agent_id, limit)


def _open(connection: Connection, condition: sa.ColumnElement[bool], limit: int) -> list[OpenOperation]:
    columns = (
        ATTEMPTS.c.id,
        ATTEMPTS.c.execution_id,
        ATTEMPTS.c.number,
        TASKS.c.operation,
        TASKS.c.instance,
        ATTEMPTS.c.agent_id,
        ATTEMPTS.c.state,
        ATTEMPTS.c.created_at,
        ATTEMPTS.c.started_at,
    )
    query = (
        sa.select(*columns)
        .join(TASKS, TASKS.c.id == ATTEMPTS.c.task_id)
        .where(condition, ATTEMPTS.c.state != AttemptState.ENDED.value)
        .order_by(ATTEMPTS.c.created_at)
        .limit(limit)
    )
    return [
        OpenOperation(
            attempt_id=row.id,
            execution_id=row.execution_id,
            number=row.number,
            operation=row.operation or "",
            instance=row.instance,
            agent_id=row.agent_id,
            state=AttemptState(row.state),
            created_at=row.created_at,
            started_at=row.started_at,
        )
        for row in connection.execute(query)
    ]


def waiting_retries(connection: Connection, execution_id: str, *, limit: int = 100) -> list[WaitingRetry]:
    """Return the tasks that wait for their next attempt, the next one first."""
    query = (
        sa.select(TASKS.c.operation, TASKS.c.instance, TASKS.c.not_before, TASKS.c.error)
        .where(TASKS.c.execution_id == execution_id, TASKS.c.state == TaskState.RESCHEDULED.value)
        .order_by(TASKS.c.not_before)
        .limit(limit)
    )
    return [
        WaitingRetry(
            operation=row.operation or "", instance=row.instance, not_before=row.not_before or 0.0, error=row.error
        )
        for row in connection.execute(query)
    ]


def ended_attempts(connection: Connection, execution_id: str, *, limit: int = 10_000) -> list[EndedAttempt]:
    """Return the attempts that have a verdict, in the order in which they were sent."""
    columns = (
        TASKS.c.operation,
        TASKS.c.instance,
        ATTEMPTS.c.agent_id,
        ATTEMPTS.c.number,
        ATTEMPTS.c.verdict,
        ATTEMPTS.c.created_at,
        ATTEMPTS.c.ended_at,
        ATTEMPTS.c.result,
    )
    query = (
        sa.select(*columns)
        .join(TASKS, TASKS.c.id == ATTEMPTS.c.task_id)
        .where(ATTEMPTS.c.execution_id == execution_id, ATTEMPTS.c.state == AttemptState.ENDED.value)
        .order_by(ATTEMPTS.c.created_at)
        .limit(limit)
    )
    return [
        EndedAttempt(
            operation=row.operation or "",
            instance=row.instance,
            agent_id=row.agent_id,
            number=row.number,
            verdict=row.verdict,
            created_at=row.created_at,
            ended_at=row.ended_at,
            durations=_durations(row.result),
        )
        for row in connection.execute(query)
    ]


def said(connection: Connection, execution_id: str, *, limit: int = 10_000) -> list[Said]:
    """Return what an execution's last attempts left behind, of each operation the last one that left something.

    What was tried again with success left nothing but what its last attempt did.
    """
    query = (
        sa.select(
            ATTEMPTS.c.task_id,
            TASKS.c.operation,
            TASKS.c.instance,
            ATTEMPTS.c.number,
            ATTEMPTS.c.verdict,
            ATTEMPTS.c.result,
        )
        .join(TASKS, TASKS.c.id == ATTEMPTS.c.task_id)
        .where(ATTEMPTS.c.execution_id == execution_id, ATTEMPTS.c.state == AttemptState.ENDED.value)
        .order_by(ATTEMPTS.c.created_at.desc(), ATTEMPTS.c.number.desc())
        .limit(limit)
    )
    found: dict[str, Said] = {}
    for row in reversed(connection.execute(query).all()):
        result: Mapping[str, Any] = jsontext.load(row.result) or {}
        one = Said(
            operation=row.operation or "",
            instance=row.instance,
            number=row.number,
            verdict=row.verdict,
            traceback=(result.get("error") or {}).get("traceback") or "",
            stdout_tail=result.get("stdout_tail") or "",
            stderr_tail=result.get("stderr_tail") or "",
        )
        if one.traceback or one.stdout_tail or one.stderr_tail:
            found[row.task_id] = one
        elif row.verdict == _SUCCEEDED:
            found.pop(row.task_id, None)
    return list(found.values())


def doing(connection: Connection, agent_ids: set[str]) -> dict[str, str]:
    """Return what agents said in their last heartbeat that attempts are doing: attempt id → words."""
    if not agent_ids:
        return {}
    query = sa.select(AGENTS.c.heartbeat).where(AGENTS.c.id.in_(sorted(agent_ids)), AGENTS.c.heartbeat.is_not(None))
    said: dict[str, str] = {}
    for (text,) in connection.execute(query):
        heartbeat: Mapping[str, Any] = jsontext.load(text) or {}
        said.update({attempt: str(words) for attempt, words in (heartbeat.get("doing") or {}).items()})
    return said


def awaits_records(connection: Connection, execution_ids: Collection[str], *, limit: int = 100) -> bool:
    """Tell whether logs of the attempts that ended last are still on their way: results overtake them.

    `limit` attempts are looked at, for each execution one at least.
    """
    stored = sa.func.coalesce(
        sa.select(sa.func.max(EVENTS.c.sequence)).where(EVENTS.c.attempt_id == ATTEMPTS.c.id).scalar_subquery(), 0
    )
    query = (
        sa.select(ATTEMPTS.c.result, ATTEMPTS.c.property_sequence, stored)
        .where(ATTEMPTS.c.execution_id.in_(execution_ids), ATTEMPTS.c.state == AttemptState.ENDED.value)
        .order_by(ATTEMPTS.c.ended_at.desc())
        .limit(max(limit, len(execution_ids)))
    )
    return any(
        max(properties, records) < (jsontext.load(result) or {}).get("last_sequence", 0)
        for result, properties, records in connection.execute(query)
    )


def _durations(result: str | None) -> dict[str, float | None]:
    found = (jsontext.load(result) or {}).get("durations") or {}
    return {name: value for name, value in found.items() if value is None or isinstance(value, (int, float))}
