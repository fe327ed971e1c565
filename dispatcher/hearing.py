"""Heartbeats: which agents live, which attempts they hold, and whether their journals are the ones that we know.

Dispatchers share one queue of heartbeats, so what one hears it stores, and each reads there what the others heard.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from outrider.dispatcher import control
from outrider.dispatcher.fleet import Fleet
from outrider.dispatcher.heartbeats import Judgement, Trust, judge
from outrider.dispatcher.leases import LeaseBook
from outrider.dispatcher.progress import Progress
from outrider.dispatcher.recorder import Finding, Recorder
from outrider.dispatcher.run import Run
from outrider.dispatcher.signals import HeartbeatArrived
from outrider.dispatcher.store import agents
from outrider.dispatcher.store.agents import Agent
from outrider.dispatcher.store.attempts import AttemptState
from outrider.dispatcher.store.schema import ATTEMPTS
from outrider.dispatcher.turn import Turn
from outrider.messaging import topology
from outrider.messaging.messages import AgentHeartbeat, ControlKind, Verdict

log = logging.getLogger(__name__)

#: No heartbeat is longer on its way: the broker drops it before. If one seems to be, the clocks have parted: in months
#: by drifting, or at once because the agent's machine, a virtual one, stood still.
_LONGEST_WAY_SECONDS = 3 * topology.HEARTBEAT_TTL_SECONDS


class Hearing:
    """Takes heartbeats in."""

    def __init__(
        self, dispatcher_id: str, fleet: Fleet, leases: LeaseBook, recorder: Recorder, progress: Progress
    ) -> None:
        self._dispatcher_id = dispatcher_id
        self._fleet = fleet
        self._leases = leases
        self._recorder = recorder
        self._progress = progress
        #: Agent → its boot, and the smallest difference seen between our clock and its own: its fastest message.
        self._offsets: dict[str, tuple[str, float]] = {}
        #: Agent → when its stored heartbeat was sent, as far as it was taken up.
        self._taken_up: dict[str, float] = {}

    def heartbeats(self, turn: Turn, arrivals: Sequence[HeartbeatArrived], runs: Mapping[str, Run]) -> None:
        """Store heartbeats, renew the leases of what they name, fence agents whose journal cannot be trusted."""
        if not arrivals:
            return
        # Locked: another dispatcher may have a newer one of the same agent at hand, and must not be overwritten.
        known = agents.by_ids(turn.connection, list({each.heartbeat.agent_id for each in arrivals}), lock=True)
        changed: dict[str, Agent] = {}
        for arrival in arrivals:
            turn.to_ack.append(arrival.delivery)
            heartbeat = arrival.heartbeat
            if not arrival.delivery.routing_key.startswith(f"{heartbeat.agent_id}."):
                log.warning("a heartbeat of %s came from %s", heartbeat.agent_id, arrival.delivery.routing_key)
                continue
            sent_at = self._sent_at(heartbeat, arrival.received_at)
            agent = changed.get(heartbeat.agent_id) or known.get(heartbeat.agent_id)
            judged = judge(agent, heartbeat, seen_at=turn.stored_now - (turn.now - sent_at))
            if judged.trust is Trust.STALE:
                continue
            changed[heartbeat.agent_id] = judged.agent
            self._learn(judged.agent)
            if judged.trust is Trust.GOOD:
                self._renew(turn, runs, heartbeat, sent_at)
            else:
                self._distrust(turn, judged)
        for _, agent in sorted(changed.items()):
            agents.save(turn.connection, agent)

    def poll(self, turn: Turn, runs: Iterable[Run]) -> None:
        """Take up from the store what other dispatchers heard of the agents that hold attempts of ours."""
        by_id = {run.id: run for run in runs}
        wanted = {attempt.agent_id for run in by_id.values() for attempt in run.open.values()}
        for agent in agents.by_ids(turn.connection, sorted(wanted)).values():
            seen_at = agent.last_seen_at
            if agent.heartbeat is None or seen_at is None or self._taken_up.get(agent.id) == seen_at:
                continue
            self._taken_up[agent.id] = seen_at
            self._learn(agent)
            if agent.fenced is None:
                named = {name: tuple(agent.heartbeat.get(name, ())) for name in ("accepted", "running", "reporting")}
                self._named(turn, by_id, named, turn.now - max(turn.stored_now - seen_at, 0.0))

    def _learn(self, agent: Agent) -> None:
        self._fleet.learn(agent)
        # One that was fenced may be trusted again.
        self._progress.room(self._fleet.pop_waiting(agent.id))

    def _sent_at(self, heartbeat: AgentHeartbeat, received_at: float) -> float:
        """Estimate on our clock when a heartbeat was sent."""
        offset = received_at - heartbeat.clock_seconds
        boot, least = self._offsets.get(heartbeat.agent_id, ("", 0.0))
        if boot == heartbeat.boot_id and offset < least + _LONGEST_WAY_SECONDS:
            offset = min(offset, least)
        self._offsets[heartbeat.agent_id] = heartbeat.boot_id, offset
        return heartbeat.clock_seconds + offset

    def _renew(self, turn: Turn, runs: Mapping[str, Run], heartbeat: AgentHeartbeat, sent_at: float) -> None:
        named = {"accepted": heartbeat.accepted, "running": heartbeat.running, "reporting": heartbeat.reporting}
        self._named(turn, runs, named, sent_at)

    def _named(self, turn: Turn, runs: Mapping[str, Run], named: Mapping[str, tuple[str, ...]], sent_at: float) -> None:
        for attempt_ids in named.values():
            for attempt_id in attempt_ids:
                self._leases.renew(attempt_id, sent_at=sent_at)
        for attempt_id in named["running"]:
            run = runs.get(attempt_id.rpartition("-")[0])
            if run is not None and attempt_id in run.open and turn.own(run):
                self._recorder.started(turn, run, attempt_id)

    def _distrust(self, turn: Turn, judged: Judgement) -> None:
        """Give the agent's open attempts their verdict; ask it to begin a new journal if it has to."""
        agent_id, reason = judged.agent.id, judged.reason
        log.error("%s", reason, extra={"action": "fence", "agent": agent_id})
        query = sa.select(ATTEMPTS.c.id).where(
            ATTEMPTS.c.agent_id == agent_id, ATTEMPTS.c.state != AttemptState.ENDED.value
        )
        found = list(turn.connection.execute(query).scalars())
        self._recorder.findings(turn, [Finding(each, Verdict.MAY_HAVE_RUN, reason) for each in found])
        if judged.trust is Trust.FENCED:
            # Names the epoch that has to end: asked again before the agent could answer, it must not begin two.
            payload = {"reason": reason, "journal_epoch": judged.agent.journal_epoch}
            turn.notes.append(control.request(ControlKind.NEW_EPOCH, agent_id, self._dispatcher_id, payload=payload))
