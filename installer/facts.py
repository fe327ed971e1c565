"""What the probe found out about a host, as values; and what of it stands in the way of an agent."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from outrider.installer.bundle.targets import OLDEST_GLIBC, Target, platform_name

MIB = 1 << 20


@dataclass(frozen=True)
class Space:
    """Room for the files below a path."""

    path: str
    free_bytes: int
    writable: bool


@dataclass(frozen=True)
class Reach:
    """Whether the host reaches a broker."""

    address: str
    ok: bool
    error: str
    seconds: float


@dataclass(frozen=True)
class HostFacts:
    """The host as it is."""

    python: str
    python_path: str
    os_name: str
    machine: str
    libc: str
    libc_version: str
    user: str
    #: ``system`` (root owns the agent) or ``user``.
    mode: str
    state_dir: str
    ca_file: str
    hostname: str
    machine_id: str
    #: How far the host's clock is ahead of ours, in seconds.
    clock_skew_seconds: float
    space: tuple[Space, ...]
    systemd: bool
    user_manager: bool
    linger: bool
    cron: bool
    cgroup: str
    brokers: tuple[Reach, ...]
    #: Version folder -> hash of its bundle.
    versions: Mapping[str, str] = field(default_factory=dict)
    current: Optional[str] = None
    agent_id: Optional[str] = None
    service: str = "none"
    #: The version to go back to, if an upgrade to the current one was cut before it was known to work.
    way_back: Optional[str] = None

    @property
    def target(self) -> Target:
        """What a bundle must be made for."""
        return Target(self.python, platform_name(self.machine, self.libc))


@dataclass(frozen=True)
class Problem:
    """Something on the host that would make an agent fail."""

    what: str
    remedy: str
    cause: str


@dataclass(frozen=True)
class Needs:
    """What a host must have."""

    #: The environment of an agent takes about 40 MiB; plugins come on top.
    free_bytes: int = 150 * MIB
    #: Certificates and log times need clocks that roughly agree; leases do not (they are durations).
    clock_skew_seconds: float = 120.0


DEFAULT_NEEDS = Needs()


def read_facts(answer: Mapping[str, Any], *, asked_at: float, answered_at: float) -> HostFacts:
    """Return the facts of a probe's answer; the times are ours (`time.time`), around the question."""
    services, installed = answer["services"], answer["installed"]
    earliest, latest = answer["clock"] - answered_at, answer["clock"] - asked_at
    # The host looked at its clock somewhere between: what lies between is no skew.
    skew = earliest if earliest > 0 else min(latest, 0.0)
    return HostFacts(
        python=".".join(answer["python"]["version"].split(".")[:2]),
        python_path=answer["python"]["executable"],
        os_name=answer["os"]["name"],
        machine=answer["machine"],
        libc=answer["libc"]["name"],
        libc_version=answer["libc"]["version"],
        user=answer["user"],
        mode=answer["mode"],
        state_dir=answer["paths"]["state"],
        ca_file=answer["paths"]["ca"],
        hostname=answer["hostname"],
        machine_id=answer["machine_id"],
        clock_skew_seconds=skew,
        space=tuple(
            Space(path, entry["free_bytes"], entry["writable"]) for path, entry in sorted(answer["disk"].items())
        ),
        systemd=services["systemd"],
        user_manager=services["user_manager"],
        linger=services["linger"],
        cron=services["cron"],
        cgroup=answer["cgroup"],
        brokers=tuple(
            Reach(f"{entry['host']}:{entry['port']}", entry["ok"], entry["error"], entry["seconds"])
            for entry in answer["brokers"]
        ),
        versions=dict(installed["versions"]),
        current=installed["current"],
        agent_id=installed["agent_id"],
        service=installed["service"],
        # A bundle of an older release brings a host program that does not tell.
        way_back=(installed.get("unproven") or {}).get("before"),
    )


def find_problems(facts: HostFacts, needs: Needs, *, agent_id: Optional[str] = None) -> tuple[Problem, ...]:
    """Return everything that stands in the way, not only the first."""
    return (
        *_space(facts, needs),
        *_platform(facts),
        *_clock(facts, needs),
        *_brokers(facts),
        *_other(facts, agent_id),
    )


def _space(facts: HostFacts, needs: Needs) -> list[Problem]:
    found = []
    for space in facts.space:
        if not space.writable:
            remedy = "log in as its owner, or as root" if facts.mode == "user" else "remount the disk read-write"
            found.append(Problem(f"{facts.user} cannot write below {space.path}", remedy, "not writable"))
        elif space.free_bytes < (needs.free_bytes if not space.path.startswith("/etc") else MIB):
            free = space.free_bytes // MIB
            text = f"only {free} MiB are free for {space.path}, {needs.free_bytes // MIB} MiB are needed"
            found.append(Problem(text, "free some space on that disk", "disk full"))
    return found


def _platform(facts: HostFacts) -> list[Problem]:
    version = tuple(int(part) for part in facts.libc_version.split(".")[:2] if part.isdigit())
    if facts.libc == "glibc" and version < OLDEST_GLIBC:
        text = f"its C library is glibc {facts.libc_version}, the agent's wheels need 2.17"
        return [Problem(text, "use a newer release of the operating system", "old C library")]
    return []


def _clock(facts: HostFacts, needs: Needs) -> list[Problem]:
    skew = facts.clock_skew_seconds
    if abs(skew) <= needs.clock_skew_seconds:
        return []
    text = f"its clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this machine's"
    return [Problem(text, "set the clock (timedatectl set-ntp true), or allow a larger difference", "wrong clock")]


def _brokers(facts: HostFacts) -> list[Problem]:
    """One broker of a cluster is enough."""
    if not facts.brokers or any(reach.ok for reach in facts.brokers):
        return []
    tried = "; ".join(f"{reach.address}: {reach.error}" for reach in facts.brokers)
    remedy = "check the address that hosts use for the broker, and the firewall between"
    return [Problem(f"it does not reach the broker ({tried})", remedy, "broker unreachable from the host")]


def _other(facts: HostFacts, agent_id: Optional[str]) -> list[Problem]:
    if agent_id is None or facts.agent_id in (None, agent_id):
        return []
    text = f"it already has the agent {facts.agent_id}"
    return [Problem(text, f"uninstall that one first, or install under the name {facts.agent_id}", "other agent")]


def now() -> float:
    """Return our clock, to compare the host's with."""
    return time.time()
