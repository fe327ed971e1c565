"""The agent's settings: one typed object from a TOML file, the environment (``OUTRIDER_…``) and flags, in rising order.

All errors are reported at once, and each value's origin is remembered for `outrider config show`.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

from outrider.agent.errors import SettingsError
from outrider.messaging import configuration

_AGENT_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_VARIABLE = re.compile(r"(?!OUTRIDER_)[A-Za-z_][A-Za-z0-9_]*=")


def _default_slots() -> int:
    # Operations mostly wait for clouds; what they compute is bounded by the host anyway.
    return max(8, 4 * (os.cpu_count() or 1))


@dataclass(frozen=True)
class Settings:
    """Everything that an agent goes by. Names are those of the file; the environment has ``OUTRIDER_<NAME>``."""

    #: Names the agent's queues; letters, digits, ``_`` and ``-``.
    agent_id: str
    state_dir: Path = Path("/var/lib/outrider")
    #: AMQP addresses, tried in turn.
    broker_urls: tuple[str, ...] = ()
    broker_ca_file: Optional[Path] = None
    broker_certificate_file: Optional[Path] = None
    broker_key_file: Optional[Path] = None
    #: Operations at once.
    slots: int = field(default_factory=_default_slots)
    #: Accepted and waiting tasks, as a multiple of the slots, at which the agent takes no more.
    backlog_factor: int = 8
    heartbeat_seconds: float = 5.0
    #: Must be the dispatcher's: nothing starts when the last confirmed heartbeat is older than half of it.
    lease_seconds: float = 180.0
    #: Between SIGTERM and SIGKILL when an operation is stopped.
    grace_seconds: float = 5.0
    #: How long running operations may go on when the service is stopped for good.
    drain_seconds: float = 60.0
    #: Per operation; 0 = no limit.
    memory_limit_mib: int = 0
    #: Children that a runner keeps forked ahead; up to twice as many once tasks had to wait for one.
    waiting_children: int = 4
    runner_idle_seconds: float = 900.0
    #: For the import of a plugin's modules.
    import_seconds: float = 60.0
    #: Of each stream that an operation prints to, three parts of this size are kept: the first and the last two.
    output_limit_mib: float = 4.0
    #: Logs and events of one attempt on the disk.
    updates_limit_mib: float = 64.0
    #: Of one message to the broker.
    result_limit_mib: float = 16.0
    #: How long finished attempts are remembered, against redeliveries.
    journal_keep_seconds: float = 7 * 86400.0
    #: A plugin's environment that no runner was started in for so long is removed, and so is a blueprint's resource
    #: that no operation used; both come again when needed.
    environment_keep_seconds: float = 30 * 86400.0
    #: Free space of the state folder's disk below which no tasks are taken.
    disk_reserve_mib: int = 64
    #: Whether operations may be put into control groups where the host allows it.
    control_groups: bool = True
    log_level: str = "info"
    #: ``NAME=value`` each: what the agent, and all that it starts, finds in its environment.
    environment: tuple[str, ...] = ()
    #: Name → ``default``, ``flag``, ``OUTRIDER_…`` or the file's path.
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def variables(self) -> dict[str, str]:
        """What goes into the environment, by name."""
        return dict(text.split("=", 1) for text in self.environment)

    @property
    def memory_limit_bytes(self) -> Optional[int]:
        """The memory limit of an operation, None if there is none."""
        return self.memory_limit_mib * 2**20 or None

    @property
    def output_limit_bytes(self) -> int:
        """The size of one part of a captured stream."""
        return int(self.output_limit_mib * 2**20)

    @property
    def updates_limit_bytes(self) -> int:
        """The size of an attempt's logs and events."""
        return int(self.updates_limit_mib * 2**20)

    @property
    def result_limit_bytes(self) -> int:
        """The size of the largest message."""
        return int(self.result_limit_mib * 2**20)

    @property
    def backlog_limit(self) -> int:
        """How many accepted attempts may wait."""
        return self.slots * self.backlog_factor


def load(
    file: Optional[Path],
    *,
    environment: Mapping[str, str],
    flags: Mapping[str, Optional[str]],
    required: Collection[str] = (),
) -> Settings:
    """Return the settings; flags win over the environment, which wins over the file. Raises `SettingsError`.

    `required`: settings that have no useful default for what is about to be done.
    """

    def check(values: Mapping[str, Any]) -> list[str]:
        missing = [
            f"{name}: is needed; set OUTRIDER_{name.upper()}, or {name} in the file that --config names"
            for name in required
            if not values.get(name)
        ]
        return [*_contradictions(values), *missing]

    try:
        loaded = configuration.load(
            Settings,
            file=file,
            environment=environment,
            flags=flags,
            defaults={"agent_id": _host_name()},
            check=check,
        )
    except configuration.ConfigurationError as error:
        raise SettingsError(error.problems) from error
    return replace(loaded.settings, origins=loaded.origins)


def _host_name() -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname()) or "agent"


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    found = []
    heartbeat = values.get("heartbeat_seconds", Settings.heartbeat_seconds)
    lease = values.get("lease_seconds", Settings.lease_seconds)
    if lease < 4 * heartbeat:
        found.append(f"lease_seconds = {lease:g} must be at least four times heartbeat_seconds = {heartbeat:g}")
    if not _AGENT_ID.fullmatch(str(values.get("agent_id", "x"))):
        found.append(f"agent_id = {values['agent_id']!r}: only letters, digits, '_' and '-' (at most 100) may be in it")
    found.extend(
        f"{name} = {values[name]!r}: must be greater than 0"
        for name in _POSITIVE
        if name in values and not values[name] > 0
    )
    found.extend(
        f"environment: {text!r} is not of the form NAME=value, with a name that does not begin with OUTRIDER_"
        for text in values.get("environment", ())
        if not _VARIABLE.match(text)
    )
    if ("broker_certificate_file" in values) != ("broker_key_file" in values):
        found.append("broker_certificate_file and broker_key_file: give both or none")
    return found


_POSITIVE = (
    "slots", "backlog_factor", "heartbeat_seconds", "lease_seconds", "waiting_children", "runner_idle_seconds",
    "import_seconds", "output_limit_mib", "updates_limit_mib", "result_limit_mib", "journal_keep_seconds",
)  # fmt: skip
