"""What a heartbeat says about an agent's journal: whether it is the one that we know, and may be trusted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from outrider.dispatcher.store.agents import Agent
from outrider.messaging.codec import to_json
from outrider.messaging.messages import AgentHeartbeat

#: Ids of ended agent processes that are remembered, to notice one that comes back.
REMEMBERED_PROCESSES = 8


class Trust(str, Enum):
    """What a heartbeat means."""

    GOOD = "good"
    #: Older than what is known; says nothing new.
    STALE = "stale"
    #: The agent began a new journal: what it had been given before is unknown to it.
    NEW_EPOCH = "new_epoch"
    #: The journal cannot be trusted: restored, cloned, or two agents under one id.
    FENCED = "fenced"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The agent as it has to be stored, and what the heartbeat means."""

    agent: Agent
    trust: Trust
    reason: str = ""


def judge(known: Agent | None, heartbeat: AgentHeartbeat, *, seen_at: float) -> Judgement:
    """Compare a heartbeat with what is stored."""
    agent = known or Agent(id=heartbeat.agent_id, created_at=seen_at)
    last = agent.heartbeat
    processes: list[str] = list(agent.details.get("processes", ()))
    trust, reason = Trust.GOOD, ""
    if last is not None:
        if _is_older(last, heartbeat):
            return Judgement(agent, Trust.STALE)
        trust, reason = _compare(agent, last, processes, heartbeat)
        if last["process_id"] != heartbeat.process_id:
            processes = [*processes, last["process_id"]][-REMEMBERED_PROCESSES:]
    fenced = reason if trust is Trust.FENCED else None
    if fenced is None and agent.fenced and trust is Trust.GOOD:
        trust, fenced, reason = Trust.FENCED, agent.fenced, agent.fenced
    return Judgement(
        replace(
            agent,
            state="nonresponsive" if fenced else "started",
            details={**agent.details, "processes": processes},
            heartbeat=to_json(heartbeat),
            last_seen_at=seen_at,
            journal_epoch=heartbeat.journal_epoch,
            journal_sequence=heartbeat.journal_sequence,
            fenced=fenced,
        ),
        trust,
        reason,
    )


def _is_older(last: Any, heartbeat: AgentHeartbeat) -> bool:
    """Several dispatchers read one queue, so an older heartbeat may be looked at after a newer one.

    That includes the last one of a process that has ended since: the clock is the host's, and counts from its boot.
    """
    return bool(last["boot_id"] == heartbeat.boot_id and heartbeat.clock_seconds <= last["clock_seconds"])


def _compare(agent: Agent, last: Any, processes: list[str], heartbeat: AgentHeartbeat) -> tuple[Trust, str]:
    name = f"agent {agent.id!r}"
    if heartbeat.process_id in processes and heartbeat.process_id != last["process_id"]:
        return Trust.FENCED, (
            f"two agents run under the id {agent.id!r} (machines {last['machine_id']} and {heartbeat.machine_id}): "
            "stop one of them"
        )
    if heartbeat.journal_epoch != agent.journal_epoch:
        return Trust.NEW_EPOCH, f"{name} began a new journal: what it was given before is unknown to it"
    if heartbeat.machine_id != last["machine_id"]:
        return Trust.FENCED, (
            f"{name} runs on machine {heartbeat.machine_id} with the journal of machine {last['machine_id']}: "
            "a copied disk; the agent has to begin a new journal"
        )
    # A process that opened a copy may have written as much to it since as the copy lacked.
    opened = heartbeat.journal_opened if heartbeat.process_id != last["process_id"] else None
    sequence = heartbeat.journal_sequence if opened is None else opened
    if sequence < agent.journal_sequence:
        return Trust.FENCED, (
            f"the journal of {name} went back from {agent.journal_sequence} to {sequence}: it was "
            "restored from an old copy; the agent has to begin a new journal"
        )
    return Trust.GOOD, ""
