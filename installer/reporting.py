"""The steps `service` and `heartbeat`: the agent runs, started anew where that is needed, and is heard of."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Optional

from outrider.installer.configuration import AgentSpec
from outrider.installer.errors import InstallerError, NoHeartbeat
from outrider.installer.heartbeats import HeartbeatWaiter
from outrider.installer.plan import Plan
from outrider.installer.ssh.session import HostSession
from outrider.messaging.messages import AgentHeartbeat

#: How long the host may take to have the service run.
SERVICE_SECONDS = 90.0
#: How long the agent may take from its start to its first heartbeat.
HEARTBEAT_SECONDS = 60.0
#: How long one that runs already may be silent before it is started anew: some of its usual heartbeats.
SILENT_SECONDS, SILENT_HEARTBEATS = 30.0, 3


def start_service(session: HostSession, spec: AgentSpec, plan: Plan, *, restart: bool) -> dict[str, Any]:
    """Activate the version and have the agent run."""
    request = {"name": plan.version, "kind": spec.service, "restart": restart, "timeout_seconds": SERVICE_SECONDS}
    return session.act("service", request, timeout_seconds=SERVICE_SECONDS + 60.0)


def await_report(
    session: HostSession,
    spec: AgentSpec,
    plan: Plan,
    heartbeats: HeartbeatWaiter,
    *,
    started: bool,
    known: Optional[AgentHeartbeat],
    timeout_seconds: float = HEARTBEAT_SECONDS,
) -> tuple[AgentHeartbeat, bool]:
    """Return the agent's heartbeat after `known`, and whether it was started; raises `NoHeartbeat`.

    One that was not `started` by this run and is silent is started anew: its service may be active, and it may hang.
    """
    version = plan.bundle.version
    with host_is_asked(session):
        if not started:
            usual = float(spec.settings.get("heartbeat_seconds", 0.0))  # type: ignore[arg-type]
            patience = max(SILENT_SECONDS, SILENT_HEARTBEATS * usual)
            accept = reports_anew(known, version, started=False)
            with contextlib.suppress(NoHeartbeat):
                return heartbeats.wait(spec.agent_id, accept, patience, known=known), False
            start_service(session, spec, plan, restart=True)
        accept = reports_anew(known, version, started=True)
        return heartbeats.wait(spec.agent_id, accept, timeout_seconds, known=known), True


def reports_anew(known: Optional[AgentHeartbeat], version: str, *, started: bool) -> Callable[[AgentHeartbeat], bool]:
    """Return what tells heartbeats of the version that runs now from the last words of its predecessor (`known`)."""

    def accept(beat: AgentHeartbeat) -> bool:
        another = known is None or not started or beat.process_id != known.process_id
        return beat.version == version and another

    return accept


@contextlib.contextmanager
def host_is_asked(session: HostSession) -> Iterator[None]:
    """Add to `NoHeartbeat` what the host says of its agent: the reason is there, and nowhere else."""
    try:
        yield
    except NoHeartbeat as error:
        try:
            status = session.act("status")
            said = f"on the host its service is {status['state']}, and its log ends:\n{status['log'] or '(no log)'}"
        except InstallerError as unheard:
            said = f"nor can the host be asked why: {unheard.message}"
        raise NoHeartbeat(f"{error.message}; {said}", remedy=error.remedy) from error
