"""Putting an agent on a host: the main flow, top to bottom. A second run continues a broken one, or changes nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from outrider.installer.account import Account
from outrider.installer.bundle import Bundle, HostBundle
from outrider.installer.configuration import AgentSpec, BrokerAccess
from outrider.installer.configuring import configure
from outrider.installer.errors import HostRefused, HostUnfit
from outrider.installer.facts import DEFAULT_NEEDS, HostFacts, Needs, Problem, find_problems, now, read_facts
from outrider.installer.heartbeats import HeartbeatWaiter
from outrider.installer.plan import Plan, Step, plan_installation
from outrider.installer.progress import Observer, Steps, ignore
from outrider.installer.reporting import HEARTBEAT_SECONDS, SERVICE_SECONDS, await_report, start_service
from outrider.installer.ssh import SshTarget
from outrider.installer.ssh.session import HostSession, open_session
from outrider.messaging.messages import AgentHeartbeat

ENVIRONMENT_SECONDS = 600.0
NOTICE_NO_REBOOT = (
    "the agent will NOT survive a reboot: there is no service manager for this user and no cron; "
    "ask root for `loginctl enable-linger {user}`, or start {path} at boot"
)


@dataclass(frozen=True)
class InstalledAgent:
    """What is on the host now."""

    host: str
    agent_id: str
    version: str
    facts: HostFacts = field(repr=False)
    #: ``systemd``, ``systemd-user`` or ``detached``.
    service: str
    survives_reboot: bool
    #: Whether anything was changed by this run.
    changed: bool
    heartbeat: Optional[AgentHeartbeat] = field(default=None, repr=False)
    #: What the person should know although nothing failed.
    notices: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict, repr=False)
    bytes_sent: int = 0


@dataclass(frozen=True)
class Diagnosis:
    """What `doctor` found."""

    host: str
    facts: HostFacts
    problems: tuple[Problem, ...]
    #: State of the agent's service and the end of its log, if an agent is there.
    service: str = "none"
    log: str = ""


def install_agent(
    target: SshTarget,
    spec: AgentSpec,
    bundle: Bundle,
    *,
    heartbeats: Optional[HeartbeatWaiter],
    needs: Needs = DEFAULT_NEEDS,
    observer: Observer = ignore,
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
    account: Optional[Account] = None,
) -> InstalledAgent:
    """Install the agent, or continue, or correct what is there; raises `StepFailed`.

    Where version, configuration and `account` are right and the agent reports, nothing is changed. Without `heartbeats`
    that step is left out: the caller knows another way.
    """
    steps = Steps(str(target), observer)
    with connected(steps, target, bundle.host_program) as session:
        with steps.step(Step.PROBE):
            facts = probe_host(session, spec.broker)
            refuse_unfit(target.host, find_problems(facts, needs, agent_id=spec.agent_id))
            plan = plan_installation(facts, bundle.select(facts.target))
            steps.detail(Step.PROBE, f"{facts.os_name}, Python {facts.python}, as {facts.user}")
        bring_version(steps, session, plan)
        with steps.step(Step.CONFIGURATION):
            configured = configure(session, spec, facts, account)
        # Before the start: the agent's first heartbeat comes while the service manager still waits for it.
        known = heartbeats.latest(spec.agent_id) if heartbeats is not None else None
        with steps.step(Step.SERVICE):
            service = start_service(session, spec, plan, restart=configured)
            steps.detail(Step.SERVICE, service["service"])
        heartbeat = None
        if heartbeats is not None:
            with steps.step(Step.HEARTBEAT):
                heartbeat, service["started"] = await_report(
                    session,
                    spec,
                    plan,
                    heartbeats,
                    started=service["started"],
                    known=known,
                    timeout_seconds=heartbeat_seconds,
                )
        clean_up(steps, session, keep=(plan.version, service["before"]))
        sent = session.bytes_sent
    return InstalledAgent(
        host=str(target),
        agent_id=spec.agent_id,
        version=plan.version,
        facts=facts,
        service=service["service"],
        survives_reboot=service["survives_reboot"],
        changed=plan.needs(Step.ENVIRONMENT) or configured or service["changed"] or service["started"],
        heartbeat=heartbeat,
        notices=_notices(facts, service),
        seconds=steps.seconds,
        bytes_sent=sent,
    )


def doctor(
    target: SshTarget,
    host_program: bytes,
    *,
    broker: Optional[BrokerAccess] = None,
    needs: Needs = DEFAULT_NEEDS,
    observer: Observer = ignore,
) -> Diagnosis:
    """Probe a host and change nothing on it; raises `StepFailed` if not even that is possible."""
    steps = Steps(str(target), observer)
    with connected(steps, target, host_program) as session, steps.step(Step.PROBE):
        facts = probe_host(session, broker)
        status = session.act("status") if facts.service != "none" else {"state": "none", "log": ""}
        session.remove_stage()
    return Diagnosis(str(target), facts, find_problems(facts, needs), status["state"], status["log"])


@dataclass(frozen=True)
class ServiceLog:
    """The end of the log that a host keeps of its agent."""

    #: The service's state, as the service manager says it.
    state: str
    text: str


def read_log(target: SshTarget, host_program: bytes, *, lines: int, observer: Observer = ignore) -> ServiceLog:
    """Return the end of an agent's log from its host (journal or log file); raises `StepFailed`."""
    steps = Steps(str(target), observer)
    with connected(steps, target, host_program) as session, steps.step("log"):
        answer = session.act("status", {"lines": lines})
        session.remove_stage()
    if answer["state"] == "none":
        raise HostRefused(f"{target.host} has no agent", remedy="see whether it is the host that you mean")
    return ServiceLog(answer["state"], answer["log"])


def restart_agent(
    target: SshTarget,
    agent_id: str,
    host_program: bytes,
    *,
    heartbeats: HeartbeatWaiter,
    observer: Observer = ignore,
) -> AgentHeartbeat:
    """Start an agent anew while its operations go on, and return its first heartbeat; raises `StepFailed`."""
    steps = Steps(str(target), observer)
    known = heartbeats.latest(agent_id)
    with connected(steps, target, host_program) as session, steps.step(Step.SERVICE):
        session.act("restart", {"timeout_seconds": SERVICE_SECONDS}, timeout_seconds=SERVICE_SECONDS + 60.0)
        session.remove_stage()

    def anew(beat: AgentHeartbeat) -> bool:
        return known is None or beat.process_id != known.process_id

    with steps.step(Step.HEARTBEAT):
        return heartbeats.wait(agent_id, anew, HEARTBEAT_SECONDS, known=known)


@contextlib.contextmanager
def connected(steps: Steps, target: SshTarget, host_program: bytes) -> Iterator[HostSession]:
    """Connect as a step of its own, and yield the session."""
    with contextlib.ExitStack() as stack:
        with steps.step(Step.CONNECT):
            session = stack.enter_context(open_session(target, host_program))
        yield session


def probe_host(session: HostSession, broker: Optional[BrokerAccess]) -> HostFacts:
    """Ask the host what it is, and whether it reaches the broker."""
    asked_at = now()
    answer = session.act("probe", {"brokers": broker.addresses() if broker else []})
    return read_facts(answer, asked_at=asked_at, answered_at=now())


def bring_version(steps: Steps, session: HostSession, plan: Plan) -> None:
    """Transfer and verify the bundle and build the version's environment, as far as needed."""
    for step in (Step.TRANSFER, Step.VERIFY, Step.ENVIRONMENT):
        if not plan.needs(step):
            steps.skip(step, plan.skipped[step])
    if plan.needs(Step.TRANSFER):
        with steps.step(Step.TRANSFER):
            sent = _transfer(steps, session, plan.bundle)
            steps.detail(Step.TRANSFER, f"{sent / 1e6:.1f} MB")
    if plan.needs(Step.VERIFY):
        with steps.step(Step.VERIFY):
            session.act("verify", _archive(session, plan.bundle))
    if plan.needs(Step.ENVIRONMENT):
        with steps.step(Step.ENVIRONMENT):
            request = {**_archive(session, plan.bundle), "name": plan.version}
            session.act("environment", request, timeout_seconds=ENVIRONMENT_SECONDS)
            steps.detail(Step.ENVIRONMENT, plan.version)


def clean_up(steps: Steps, session: HostSession, *, keep: tuple[str, ...], proven: bool = False) -> None:
    """Remove from the host the versions that nothing needs any more, and what was sent.

    `proven`: the version that is active passed the health gate.
    """
    with steps.step(Step.CLEANUP):
        session.act("collect", {"keep": list(keep), "proven": proven})
        session.remove_stage()


def _transfer(steps: Steps, session: HostSession, bundle: HostBundle) -> int:
    def progress(done: int, total: int) -> None:
        steps.fraction(Step.TRANSFER, done, total)

    return session.send_bundle(bundle.data, bundle.filename, progress)


def _archive(session: HostSession, bundle: HostBundle) -> dict[str, str]:
    return {"archive": session.stage_path(bundle.filename), "sha256": bundle.sha256}


def refuse_unfit(host: str, problems: tuple[Problem, ...]) -> None:
    """Raise `HostUnfit` with all that stands in the way, if anything does."""
    if problems:
        raise HostUnfit(
            f"{host} is not ready for an agent: {'; '.join(problem.what for problem in problems)}",
            remedy="; ".join(dict.fromkeys(problem.remedy for problem in problems)),
            cause=", ".join(dict.fromkeys(problem.cause for problem in problems)),
        )


def _notices(facts: HostFacts, service: Mapping[str, Any]) -> tuple[str, ...]:
    if service["survives_reboot"]:
        return ()
    path = "/opt/outrider/agent/respawn.sh" if facts.mode == "system" else "~/.local/opt/outrider/agent/respawn.sh"
    return (NOTICE_NO_REBOOT.format(user=facts.user, path=path),)
