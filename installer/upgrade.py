"""Upgrading an agent over SSH: the new version beside the old one, a switch, a health gate, and the way back.

Operations that run are not touched: their runners live outside the agent, and the new agent finds them again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Optional

from outrider.installer.bundle import Bundle
from outrider.installer.errors import HostRefused, InstallerError, UpgradeRolledBack, UpgradeStuck
from outrider.installer.facts import DEFAULT_NEEDS, Needs, find_problems
from outrider.installer.heartbeats import HeartbeatWaiter
from outrider.installer.installation import (
    HEARTBEAT_SECONDS,
    SERVICE_SECONDS,
    bring_version,
    clean_up,
    connected,
    probe_host,
    refuse_unfit,
    reports_anew,
)
from outrider.installer.plan import Plan, Step, plan_installation
from outrider.installer.progress import Observer, Steps, ignore
from outrider.installer.ssh import SshTarget
from outrider.installer.ssh.session import HostSession
from outrider.messaging.messages import AgentHeartbeat

#: Runs a small operation on the agent and raises `InstallerError` if it does not succeed.
TestOperation = Callable[[str], None]


@dataclass(frozen=True)
class Upgraded:
    """What an upgrade did."""

    host: str
    before: str
    version: str
    #: False: the version was active already.
    changed: bool


@dataclass(frozen=True)
class HealthGate:
    """When a new version counts as healthy: it reports, and a small operation succeeds on it."""

    heartbeats: Optional[HeartbeatWaiter] = None
    test_operation: Optional[TestOperation] = None
    heartbeat_seconds: float = HEARTBEAT_SECONDS

    def latest(self, agent_id: str) -> Optional[AgentHeartbeat]:
        """Return the agent's last heartbeat: ask before the switch, for `pass_through`."""
        return None if self.heartbeats is None else self.heartbeats.latest(agent_id)

    def pass_through(self, agent_id: str, version: str, *, known: Optional[AgentHeartbeat]) -> None:
        """Return if the agent is healthy, by what it says after the heartbeat `known`; raises `InstallerError`."""
        if self.heartbeats is not None:
            accept = reports_anew(known, version, started=True)
            self.heartbeats.wait(agent_id, accept, self.heartbeat_seconds, known=known)
        if self.test_operation is not None:
            self.test_operation(agent_id)


def upgrade_agent(
    target: SshTarget,
    bundle: Bundle,
    gate: HealthGate,
    *,
    needs: Needs = DEFAULT_NEEDS,
    observer: Observer = ignore,
) -> Upgraded:
    """Bring the bundle's version and switch to it; raises `UpgradeRolledBack` if it does not pass the gate."""
    steps = Steps(str(target), observer)
    with connected(steps, target, bundle.host_program) as session:
        with steps.step(Step.PROBE):
            facts = probe_host(session, None)
            if facts.agent_id is None or facts.current is None:
                raise HostRefused(f"{target.host} has no agent to upgrade", remedy="install one first")
            refuse_unfit(target.host, find_problems(facts, needs))
            plan = plan_installation(facts, bundle.select(facts.target))
        bring_version(steps, session, plan)
        changed = facts.current != plan.version
        if changed:
            _switch(steps, session, plan, before=facts.current, agent_id=facts.agent_id, gate=gate)
        clean_up(steps, session, keep=(plan.version, facts.current))
    return Upgraded(str(target), facts.current, plan.version, changed)


def _switch(steps: Steps, session: HostSession, plan: Plan, *, before: str, agent_id: str, gate: HealthGate) -> None:
    known = gate.latest(agent_id)
    try:
        with steps.step("switch"):
            _activate(session, plan.version)
        with steps.step("health"):
            gate.pass_through(agent_id, plan.bundle.version, known=known)
    except InstallerError as error:
        with steps.step("rollback"):
            _roll_back(session, before, failed=plan.version, reason=error)
        text = f"{steps.host}: version {plan.version} did not pass, {before} runs again; the reason: {error}"
        raise UpgradeRolledBack(text, remedy="mend the build; the agent's log on the host tells more") from error


def _roll_back(session: HostSession, before: str, *, failed: str, reason: InstallerError) -> None:
    try:
        _activate(session, before)
    except InstallerError as error:
        raise UpgradeStuck(
            f"version {failed} did not pass ({reason.message}), and {before} does not start either: {error.message}",
            remedy="see the agent's log on the host, then install again",
        ) from error


def _activate(session: HostSession, version: str) -> None:
    request = {"name": version, "restart": True, "timeout_seconds": SERVICE_SECONDS, "keep_kind": True}
    session.act("service", request, timeout_seconds=SERVICE_SECONDS + 60.0)
