"""Executions: one run of a workflow each."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.errors import Conflict, ExecutionRunning, NotFound
from outrider.dispatcher.store import bulk, jsontext, tokens
from outrider.dispatcher.store.database import insert_new
from outrider.dispatcher.store.schema import ATTEMPTS, EXECUTIONS

#: SQLite accepts 32,766 parameters a statement.
_AT_ONCE = 500


class Status(str, Enum):
    """The states of an execution, by the names of the REST API."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    PENDING = "pending"
    STARTED = "started"
    CANCELLING = "cancelling"
    FORCE_CANCELLING = "force_cancelling"
    KILL_CANCELLING = "kill_cancelling"
    TERMINATED = "terminated"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({Status.TERMINATED, Status.FAILED, Status.CANCELLED})
#: Holds its deployment: another one is refused or queued meanwhile.
ACTIVE = frozenset({Status.PENDING, Status.STARTED, Status.CANCELLING, Status.FORCE_CANCELLING, Status.KILL_CANCELLING})


def is_active(table: sa.FromClause) -> sa.ColumnElement[bool]:
    """Return the condition that an execution of the table holds its deployment; for statements that are kept."""
    return sa.or_(*(table.c.status == status.value for status in sorted(ACTIVE)))


class Cancel(str, Enum):
    """How a cancel was asked for."""

    #: Nothing new starts; running operations are stopped, and their answers awaited within a bound.
    NORMAL = "cancel"
    #: As NORMAL, but the execution ends at once; operations that have not confirmed keep their verdict to come.
    FORCE = "force-cancel"
    #: As FORCE, and agents are told to kill without the grace of a SIGTERM.
    KILL = "kill"


CANCELLING = {
    Cancel.NORMAL: Status.CANCELLING,
    Cancel.FORCE: Status.FORCE_CANCELLING,
    Cancel.KILL: Status.KILL_CANCELLING,
}


#: What is known when a workflow is killed that runs elsewhere.
_NOT_KILLED = "given up by a kill: its workflow runs elsewhere, so nothing was stopped, and it may still be running"


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A row."""

    id: str
    workflow: str
    tenant: str = "default_tenant"
    deployment_id: str | None = None
    blueprint_id: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    status: Status = Status.PENDING
    error: str | None = None
    dry_run: bool = False
    force: bool = False
    queue: bool = False
    cancel: Cancel | None = None
    wait_after_fail_seconds: float = 600.0
    max_concurrency: int | None = None
    created_by: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    created_at: float = 0.0
    scheduled_for: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    total_operations: int = 0
    finished_operations: int = 0
    owner: str | None = None
    owner_epoch: int = 0
    outside: bool = False

    @property
    def ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.status in ENDED


def insert(connection: Connection, execution: Execution, *, now: float) -> Execution:
    """Store a new execution and return it as stored: `queued` if its deployment is held and `queue` was asked for.

    One that was made before, elsewhere, says when (`created_at`). Raises `ExecutionRunning`, `AlreadyExists`.
    """
    status = execution.status
    if execution.scheduled_for is not None:
        status = Status.SCHEDULED
    elif status in ACTIVE and not execution.force and execution.deployment_id is not None:
        # Two callers at once must not both see a free deployment: both lock the deployment's row first.
        _lock_deployment(connection, execution.tenant, execution.deployment_id)
        holder = active_of(connection, execution.tenant, execution.deployment_id)
        if holder is not None and not execution.queue:
            raise ExecutionRunning(
                f"deployment {execution.deployment_id!r} has a running execution: {holder.id} "
                f"({holder.workflow}, {holder.status.value}); wait for it, cancel it, or start with force or queue"
            )
        if holder is not None:
            status = Status.QUEUED
    row = _row(replace(execution, status=status, created_at=execution.created_at or now))
    insert_new(connection, EXECUTIONS, row, kind="execution", name=execution.id)
    return get(connection, execution.id)


def insert_free(connection: Connection, new: Sequence[Execution], *, now: float) -> list[Execution]:
    """Store new executions that wait for nothing: without a deployment, under fresh ids; return them as stored."""
    stored = [replace(execution, created_at=now) for execution in new]
    bulk.write(connection, _INSERT, [_row(execution) for execution in stored])
    return stored


def _row(execution: Execution) -> dict[str, Any]:
    row = {name: getattr(execution, name) for name in _NAMES}
    return row | {
        "status": execution.status.value,
        "cancel": None,
        "parameters": jsontext.dump(execution.parameters),
        "details": jsontext.dump(execution.details),
    }


def _lock_deployment(connection: Connection, tenant: str, deployment_id: str) -> None:
    if connection.dialect.name != "sqlite":
        key = sa.func.hashtextextended(f"{tenant}/{deployment_id}", 0)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


def try_lock_deployment(connection: Connection, tenant: str, deployment_id: str) -> bool:
    """Lock a deployment against whoever starts or resumes an execution of it; False: somebody does."""
    if connection.dialect.name == "sqlite":
        return True
    key = sa.func.hashtextextended(f"{tenant}/{deployment_id}", 0)
    return connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(key))).scalar_one() is True


def get(connection: Connection, execution_id: str, *, lock: bool = False) -> Execution:
    """Return one execution; `lock`: until the transaction's end (SQLite: it has the only one). Raises `NotFound`."""
    found = bulk.row(connection, _BY_ID_LOCKED if lock else _BY_ID, {"b_id": execution_id})
    if found is None:
        raise NotFound("execution", execution_id)
    return _record(dict(zip(_NAMES, found, strict=True)))


def ended_of(connection: Connection, ids: Collection[str]) -> dict[str, Execution]:
    """Return those of the executions that have ended, by id."""
    ended = [status.value for status in ENDED]
    query = sa.select(EXECUTIONS).where(EXECUTIONS.c.id.in_(ids), EXECUTIONS.c.status.in_(ended))
    return {row.id: of_row(row) for row in connection.execute(query)}


def active_of(connection: Connection, tenant: str, deployment_id: str) -> Execution | None:
    """Return the oldest execution that holds the deployment."""
    query = (
        sa.select(EXECUTIONS)
        .where(EXECUTIONS.c.tenant == tenant, EXECUTIONS.c.deployment_id == deployment_id)
        .where(EXECUTIONS.c.status.in_([status.value for status in ACTIVE]))
        .order_by(EXECUTIONS.c.created_at, EXECUTIONS.c.id)
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else of_row(row)


def listed(
    connection: Connection,
    *,
    tenant: str | None = None,
    deployment_id: str | None = None,
    statuses: Iterable[Status] | None = None,
    limit: int | None = None,
) -> list[Execution]:
    """Return executions, oldest first (with a limit: the newest ones)."""
    query = sa.select(EXECUTIONS)
    if tenant is not None:
        query = query.where(EXECUTIONS.c.tenant == tenant)
    if deployment_id is not None:
        query = query.where(EXECUTIONS.c.deployment_id == deployment_id)
    if statuses is not None:
        query = query.where(EXECUTIONS.c.status.in_([status.value for status in statuses]))
    if limit is None:
        return [of_row(row) for row in connection.execute(query.order_by(EXECUTIONS.c.created_at, EXECUTIONS.c.id))]
    newest = query.order_by(EXECUTIONS.c.created_at.desc(), EXECUTIONS.c.id.desc()).limit(limit)
    return [of_row(row) for row in reversed(connection.execute(newest).all())]


def request_cancel(connection: Connection, execution_id: str, cancel: Cancel, *, now: float) -> Execution:
    """Store the wish; the owner acts on it. What nobody runs yet ends at once. Raises `NotFound`, `Conflict`.

    A workflow that runs elsewhere reads the wish, and reports its end. `KILL` ends its execution here and now, because
    its process, which nobody here can reach, may be gone.
    """
    # Locked: its owner may be about to end it, and what has ended must not be given another state.
    execution = get(connection, execution_id, lock=True)
    if execution.ended:
        raise Conflict(f"execution {execution_id} has ended already ({execution.status.value}): nothing to cancel")
    values: dict[str, Any] = {"cancel": cancel.value, "status": CANCELLING[cancel].value}
    if execution.status in (Status.SCHEDULED, Status.QUEUED):
        values = {"cancel": cancel.value, "status": Status.CANCELLED.value, "ended_at": now}
    elif execution.outside and cancel is Cancel.KILL:
        values = {"cancel": cancel.value, "status": Status.CANCELLED.value, "ended_at": now, "error": _NOT_KILLED}
        tokens.delete_of_executions(connection, [execution_id])
    connection.execute(sa.update(EXECUTIONS).where(EXECUTIONS.c.id == execution_id).values(**values))
    return get(connection, execution_id)


def request_resume(connection: Connection, execution_id: str) -> Execution:
    """Make a failed or cancelled execution pending again. Raises `NotFound`, `Conflict`."""
    execution = get(connection, execution_id, lock=True)
    if execution.outside:
        raise Conflict(
            f"the workflow of execution {execution_id} runs elsewhere: it is resumed there, by who started it"
        )
    if execution.status not in (Status.FAILED, Status.CANCELLED):
        raise Conflict(
            f"execution {execution_id} is {execution.status.value}: only a failed or cancelled one can be resumed"
        )
    if execution.deployment_id is not None and not execution.force:
        _lock_deployment(connection, execution.tenant, execution.deployment_id)
        holder = active_of(connection, execution.tenant, execution.deployment_id)
        if holder is not None:
            raise ExecutionRunning(
                f"deployment {execution.deployment_id!r} has a running execution: {holder.id} ({holder.workflow})"
            )
    tokens.delete_of_executions(connection, [execution_id])
    values = {"status": Status.PENDING.value, "cancel": None, "error": None, "ended_at": None, "owner": None}
    connection.execute(sa.update(EXECUTIONS).where(EXECUTIONS.c.id == execution_id).values(**values))
    return get(connection, execution_id)


_OWNED = (
    EXECUTIONS.c.id == sa.bindparam("b_id"),
    EXECUTIONS.c.owner == sa.bindparam("b_owner"),
    EXECUTIONS.c.owner_epoch == sa.bindparam("b_epoch"),
)
_UPDATE_OWNED = sa.update(EXECUTIONS).where(*_OWNED)
#: What every turn of the engine begins with. It changes nothing, and locks the row.
_LOCK_OWNED = _UPDATE_OWNED.values(owner_epoch=sa.bindparam("b_epoch"))
_SEE_OWNED = sa.select(EXECUTIONS.c.id).where(*_OWNED)


@functools.cache
def _write_owned(names: tuple[str, ...]) -> sa.Update:
    """Return the statement that writes these columns: the engine writes few different sets of them, all the time."""
    return _UPDATE_OWNED.values({name: sa.bindparam(f"v_{name}") for name in names})


def update_owned(connection: Connection, execution: Execution, values: Mapping[str, Any]) -> bool:
    """Write `values` if the execution is still its owner's, under the epoch it knows; False = it is not.

    Locks the row until the end of the transaction, so that everything else written in it is as safe.
    """
    owner = {"b_id": execution.id, "b_owner": execution.owner, "b_epoch": execution.owner_epoch}
    if not values and connection.dialect.name == "sqlite":
        # Whoever writes has locked the whole database: to look is enough.
        return bulk.row(connection, _SEE_OWNED, owner) is not None
    if not values:
        return bulk.change(connection, _LOCK_OWNED, owner) == 1
    named = {f"v_{name}": value for name, value in values.items()}
    return bulk.change(connection, _write_owned(tuple(values)), {**owner, **named}) == 1


def cancel_requests(connection: Connection, owner: str) -> dict[str, Cancel]:
    """Return the cancels that were asked for of one owner's running executions."""
    return {execution_id: Cancel(kind) for execution_id, kind in bulk.rows(connection, _CANCELS, {"b_owner": owner})}


def delete(connection: Connection, ids: Sequence[str]) -> None:
    """Delete executions with their graphs, attempts and tokens; an engine that runs one drops it.

    The executions go first: what their engines are about to write is written before, or not at all.
    """
    for begin in range(0, len(ids), _AT_ONCE):
        some = ids[begin : begin + _AT_ONCE]
        connection.execute(sa.delete(EXECUTIONS).where(EXECUTIONS.c.id.in_(some)))
        connection.execute(sa.delete(ATTEMPTS).where(ATTEMPTS.c.execution_id.in_(some)))
        tokens.delete_of_executions(connection, some)


def of_row(row: Row[Any]) -> Execution:
    """Return a row of the table as a record."""
    return _record(dict(row._mapping))  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping


def _record(values: dict[str, Any]) -> Execution:
    values["parameters"] = jsontext.load(values["parameters"])
    values["details"] = jsontext.load(values["details"])
    values["status"] = Status(values["status"])
    values["cancel"] = None if values["cancel"] is None else Cancel(values["cancel"])
    for name in ("dry_run", "force", "queue", "outside"):
        values[name] = bool(values[name])
    return Execution(**values)


# What the engine, and whoever waits for it, asks for all the time: made and compiled once.
_NAMES = tuple(Execution.__dataclass_fields__)
_INSERT = sa.insert(EXECUTIONS)
_BY_ID = sa.select(*(EXECUTIONS.c[name] for name in _NAMES)).where(EXECUTIONS.c.id == sa.bindparam("b_id"))
_BY_ID_LOCKED = _BY_ID.with_for_update()
_CANCELS = sa.select(EXECUTIONS.c.id, EXECUTIONS.c.cancel).where(
    EXECUTIONS.c.owner == sa.bindparam("b_owner"),
    EXECUTIONS.c.cancel.is_not(None),
    is_active(EXECUTIONS),
)
