"""Why an execution does not go on: the exact thing that it, and each of its operations, waits for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outrider.dispatcher import narrate
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.store import agents, attempts, executions, graphs, ownership, tasks
from outrider.dispatcher.store.agents import Agent
from outrider.dispatcher.store.attempts import Attempt, AttemptState
from outrider.dispatcher.store.executions import Execution, Status
from outrider.dispatcher.store.graphs import GraphState
from outrider.dispatcher.store.schema import ATTEMPTS
from outrider.dispatcher.store.tasks import DONE, DecisionKind, StoredTask, TaskState
from outrider.dispatcher.workflows.graph import TaskKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """What one thing waits for."""

    #: ``execution``, or the id of a task.
    subject: str
    operation: str | None
    instance: str | None
    waits_for: str
    agent_id: str | None = None
    #: Ids of the tasks that have to be done first.
    tasks: tuple[str, ...] = ()


def why(connection: Connection, execution_id: str, settings: EngineSettings, *, now: float) -> list[Reason]:
    """Return what an execution waits for, itself first; nothing if it has ended well. Raises `NotFound`.

    One that failed or was cancelled waits for a person, at each operation where a resume would go on.
    """
    execution = executions.get(connection, execution_id)
    reasons = [
        Reason(subject="execution", operation=None, instance=None, waits_for=text)
        for text in _whole(connection, execution, now)
    ]
    stored = graphs.of_execution(connection, execution_id)
    if not stored:
        return reasons
    rows = tasks.of_graph(connection, stored[-1].id)
    if execution.ended:
        return reasons + _for_a_person(connection, execution, [] if stored[-1].state is GraphState.SUCCEEDED else rows)
    current = {f"{row.id}.{row.attempt}" for row in rows if row.state is TaskState.SENDING}
    known = attempts.by_ids(connection, sorted(current))
    fleet = agents.by_ids(connection, sorted({each.agent_id for each in known.values()}))
    waiting = [row for row in rows if row.state in (TaskState.PENDING, TaskState.RESCHEDULED, TaskState.SENDING)]
    return reasons + [_task(connection, row, rows, known, fleet, settings, now) for row in waiting]


def _whole(connection: Connection, execution: Execution, now: float) -> list[str]:
    if execution.status is Status.SCHEDULED:
        return [f"its time: it is scheduled to start in {max((execution.scheduled_for or now) - now, 0):.0f} s"]
    if execution.status is Status.QUEUED and execution.deployment_id is not None:
        holder = executions.active_of(connection, execution.tenant, execution.deployment_id)
        by = "an earlier queued execution" if holder is None else f"execution {holder.id} ({holder.workflow})"
        return [f"its deployment {execution.deployment_id!r}, which is held by {by}"]
    if execution.ended:
        return []
    if execution.outside:
        return ["its workflow, which runs elsewhere and reports how it stands"]
    members = {each.id: each for each in ownership.members(connection)}
    owner = members.get(execution.owner or "")
    if owner is None:
        return ["a dispatcher: none has taken it" if members else "a dispatcher: none is running"]
    if owner.lease_until < now:
        return [
            f"adoption: its dispatcher {owner.id} was last heard of {now - owner.lease_until:.0f} s after its lease"
        ]
    return []


def _task(
    connection: Connection,
    row: StoredTask,
    rows: list[StoredTask],
    known: Mapping[str, Attempt],
    fleet: Mapping[str, Agent],
    settings: EngineSettings,
    now: float,
) -> Reason:
    agent_id = None
    unmet: tuple[str, ...] = ()
    if row.state is TaskState.SENDING and row.task.kind is TaskKind.LOCAL:
        text = "the plugin's workflow function, which does this in its own process"
    elif row.state is TaskState.SENDING:
        attempt = known[f"{row.id}.{row.attempt}"]
        agent_id = attempt.agent_id
        text = _attempt(connection, attempt, fleet.get(attempt.agent_id), settings, now)
    elif row.state is TaskState.RESCHEDULED:
        text = f"its next attempt, due in {max((row.not_before or now) - now, 0):.0f} s: {row.error}"
    else:
        waiting = [rows[each] for each in row.dependencies if rows[each].state not in DONE]
        unmet = tuple(each.id for each in waiting)
        text = _dependencies(waiting)
    return Reason(
        subject=row.id,
        operation=row.task.operation,
        instance=row.task.instance,
        waits_for=text,
        agent_id=agent_id,
        tasks=unmet,
    )


def _dependencies(waiting: list[StoredTask]) -> str:
    if not waiting:
        return "room: the execution or its agent holds as many open attempts as are allowed, or the agent is fenced"
    named = ", ".join(narrate.subject(each.task, each.task.id) for each in waiting[:3])
    return f"{named}{'' if len(waiting) <= 3 else f' and {len(waiting) - 3} more'}"


def _attempt(
    connection: Connection, attempt: Attempt, agent: Agent | None, settings: EngineSettings, now: float
) -> str:
    bound = attempt.created_at + settings.verdict_bound_seconds - now
    if attempt.state is AttemptState.SENDING:
        return f"the broker, to confirm the message for agent {attempt.agent_id!r}"
    if agent is None or agent.heartbeat is None or agent.last_seen_at is None:
        return f"agent {attempt.agent_id!r}, which was never heard of; a verdict comes in {max(bound, 0):.0f} s"
    seen = f"last seen {max(now - agent.last_seen_at, 0):.0f} s ago"
    if agent.fenced:
        return f"agent {agent.id!r} ({seen}), which is fenced: {agent.fenced}"
    doing = agent.heartbeat.get("doing", {}).get(attempt.id)
    if doing or attempt.state is AttemptState.STARTED:
        return f"agent {agent.id!r} ({seen}): {doing or 'the operation runs'}"
    ahead = connection.execute(
        sa.select(sa.func.count())
        .select_from(ATTEMPTS)
        .where(ATTEMPTS.c.agent_id == agent.id, ATTEMPTS.c.state != AttemptState.ENDED.value)
        .where(ATTEMPTS.c.created_at < attempt.created_at)
    ).scalar_one()
    state = agent.heartbeat.get("state", "running")
    busy = "" if state == "running" else f", which is {state}"
    return f"agent {agent.id!r} ({seen}){busy}: {ahead} attempts are ahead of it"


def _for_a_person(connection: Connection, execution: Execution, last: list[StoredTask]) -> list[Reason]:
    """Return the operations of an ended execution that a person has to decide about, and those that a resume takes up.

    `last` are the tasks of the stage in which it stopped.
    """
    questions = {row.id: row for row in undecided(connection, execution.id)}
    waits = {row.id: (row, f"a decision (retry, done, skip): {row.error}") for row in questions.values()}
    for row in last if execution.status in (Status.FAILED, Status.CANCELLED) and not execution.outside else ():
        if row.state in (TaskState.FAILED, TaskState.CANCELLED) and row.id not in questions:
            waits[row.id] = (row, f"a resume, which {_on_resume(row)}: {row.error or row.state.value}")
    return [
        Reason(subject=row.id, operation=row.task.operation, instance=row.task.instance, waits_for=text)
        for row, text in waits.values()
    ]


def _on_resume(row: StoredTask) -> str:
    """Say what a resume does about an operation, as far as it is known now."""
    if row.decision is None:
        return "tries it again unless you decide otherwise (done, skip, other inputs)"
    kind = DecisionKind(row.decision["kind"])
    if kind is DecisionKind.RETRY:
        return "tries it again with the inputs given" if "inputs" in row.decision else "tries it again, as decided"
    return "takes it as done" if kind is DecisionKind.DONE else "skips it"


def undecided(connection: Connection, execution_id: str) -> list[StoredTask]:
    """Return failed operations of which nobody knows whether they ran, and about which nobody has decided since."""
    return [each for each in unknown(connection, execution_id) if each.state is TaskState.FAILED]


def unknown(connection: Connection, execution_id: str) -> list[StoredTask]:
    """Return failed and cancelled operations that may have run, and about which nobody has decided since."""
    stopped = (TaskState.FAILED, TaskState.CANCELLED)
    rows = [row for row in tasks.of_execution(connection, execution_id) if row.state in stopped and row.attempt]
    last = attempts.last_begun(connection, {row.id: row.attempt for row in rows})
    return [
        row
        for row in rows
        if (attempt := last.get(row.id)) is not None
        and attempt.verdict in attempts.UNCERTAIN
        and not tasks.decided(row, attempt.number)
    ]
