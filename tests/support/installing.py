"""What tests of the installer on real hosts have in common."""

from __future__ import annotations

from typing import Any

from outrider.installer import AgentSpec, BrokerAccess, HostKeys, SshTarget
from outrider.installer.heartbeats import UP_TO_NOW, Accept, Known
from outrider.installer.progress import StepEvent, StepState
from outrider.messaging.messages import AgentHeartbeat
from tests.support.hosts import Host

SYSTEM_PATHS = ("/opt/outrider", "/etc/outrider", "/var/lib/outrider", "/etc/systemd/system/outrider-agent.service")
USER_PATHS = (".local/opt/outrider", ".config/outrider", ".local/state/outrider", ".cache/outrider-install")


def target_of(host: Host, user: str = "root", **changes: Any) -> SshTarget:
    """Return the way into a host by the tests' key, with its host key pinned."""
    from outrider.plugins.ssh.access.hostkeys import fingerprint

    settings: dict[str, Any] = {
        "key_file": host.private_key,
        "use_agent": False,
        "host_keys": HostKeys(fingerprint=fingerprint(host.host_key())),
        **changes,
    }
    return SshTarget(host.address, user, **settings)


def spec_of(agent_id: str = "host-1", **changes: Any) -> AgentSpec:
    """Return an agent without a broker: what stand-ins need."""
    return AgentSpec(agent_id, changes.pop("broker", BrokerAccess(urls=())), **changes)


class Recorder:
    """An observer that keeps what it was told."""

    def __init__(self) -> None:
        self.events: list[StepEvent] = []

    def __call__(self, event: StepEvent) -> None:
        self.events.append(event)

    def states(self, state: StepState) -> list[str]:
        """Return the steps that reached a state, in order."""
        return [event.step for event in self.events if event.state is state]


class NoHeartbeats:
    """A waiter that is satisfied at once, for agents without a broker."""

    def latest(self, agent_id: str) -> AgentHeartbeat | None:
        return None

    def wait(
        self, agent_id: str, accept: Accept, timeout_seconds: float, *, known: Known = UP_TO_NOW
    ) -> AgentHeartbeat:
        return AgentHeartbeat(agent_id, "machine", "boot", "process", "0.1.0", "3.11", "linux", 1.0, 5.0, "epoch", 1)


def service_pid(host: Host) -> int:
    """Return the main process of the agent's service; 0 if there is none."""
    return int(host.ask("systemctl show -p MainPID --value outrider-agent", check=False) or 0)
