"""Upgrading an agent over SSH: the new version beside the old one, a switch, a health gate, and the way back.

Operations that run are not touched: their runners live outside the agent, and the new agent finds them again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Optional

from outrider.installer.bundle import Bundle
from outrider.installer.errors import (
    AccessFailed,
    HostRefused,
    InstallerError,
    NoAnswer,
    UpgradeRolledBack,
    UpgradeStuck,
    UpgradeUnknown,
)
from outrider.installer.facts import DEFAULT_NEEDS, HostFacts, Needs, find_problems
from outrider.installer.heartbeats import HeartbeatWaiter
from outrider.installer.installation import (
    bring_version,
    clean_up,
    connected,
    probe_host,
    refuse_unfit,
)
from outrider.installer.plan import Plan, Step, plan_installation
from outrider.installer.progress import Observer, Steps, ignore
from outrider.installer.reporting import HEARTBEAT_SECONDS, SERVICE_SECONDS, reports_anew
from outrider.installer.ssh import SshTarget
from outrider.installer.ssh.session import HostSession
from outrider.messaging.messages import AgentHeartbeat

#: Cause of the host's refusal while another installation is at work there.
BUSY = "busy"
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
    """Bring the bundle's version and switch to it; raises `UpgradeRolledBack` if it does not pass the gate.

    A run after one that was cut (`UpgradeUnknown`, or nobody saw the end of it) has the version pass the gate also
    where it is active already.
    """
    steps = Steps(str(target), observer)
    with connected(steps, target, bundle.host_program) as session:
        with steps.step(Step.PROBE):
            facts = probe_host(session, None)
            if facts.agent_id is None or facts.current is None:
                raise HostRefused(f"{target.host} has no agent to upgrade", remedy="install one first")
            refuse_unfit(target.host, find_problems(facts, needs))
            plan = plan_installation(facts, bundle.select(facts.target))
        bring_version(steps, session, plan)
        before = way_back(facts, plan.version)
        if before is not None:
            _switch(steps, session, plan, before=before, agent_id=facts.agent_id, gate=gate)
        clean_up(steps, session, keep=(plan.version, before or facts.current), proven=before is not None)
    return Upgraded(str(target), before or facts.current, plan.version, before is not None)


def way_back(facts: HostFacts, version: str) -> Optional[str]:
    """Return the version that comes back if `version` does not pass; None if there is nothing to switch or to test.

    After an upgrade that was cut, that is the last version which was known to work, and the active one still has to
    pass: whether it was started at all is not known, so all of it is done again.
    """
    if facts.way_back not in (None, version):
        return facts.way_back
    return None if facts.current == version else facts.current


def _switch(steps: Steps, session: HostSession, plan: Plan, *, before: str, agent_id: str, gate: HealthGate) -> None:
    known = gate.latest(agent_id)
    try:
        with steps.step("switch"):
            _activate(session, plan.version, fallback=before)
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
        # Of a host that is lost, or still busy with what the lost line began, nobody heard that it failed.
        if isinstance(error, (AccessFailed, NoAnswer)) or error.cause == BUSY:
            text = f"it is not known which version is active, {failed} or {before}: {reason.message}"
            raise UpgradeUnknown(f"{text}; and then {error.message}") from error
        raise UpgradeStuck(
            f"version {failed} did not pass ({reason.message}), and {before} does not start either: {error.message}",
            remedy="see the agent's log on the host, then install again",
        ) from error


def _activate(session: HostSession, version: str, *, fallback: Optional[str] = None) -> None:
    request = {"name": version, "restart": True, "timeout_seconds": SERVICE_SECONDS, "keep_kind": True}
    session.act("service", {**request, "fallback": fallback}, timeout_seconds=SERVICE_SECONDS + 60.0)
