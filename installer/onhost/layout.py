"""Where an agent lives on a host. The one place that knows the paths, for the whole installer."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

UNIT = "outrider-agent.service"
SLICE = "outrider.slice"


@dataclass(frozen=True)
class Layout:
    """The folders and files of one agent: the system's (`system`, root owns it), or a user's."""

    system: bool
    #: Versions side by side, and `current`.
    agent: Path
    config: Path
    #: Journal, spool, plugin environments.
    state: Path
    unit: Path

    @property
    def versions(self) -> Path:
        """One virtualenv per version."""
        return self.agent / "versions"

    @property
    def current(self) -> Path:
        """The link to the active version."""
        return self.agent / "current"

    @property
    def python(self) -> Path:
        """The interpreter that runs the active version."""
        return self.current / "bin" / "python"

    @property
    def respawn(self) -> Path:
        """The script that keeps the agent running where no service manager does."""
        return self.agent / "respawn.sh"

    @property
    def ca(self) -> Path:
        """The authority that signed the broker's certificate, where it is not a public one."""
        return self.config.with_name("broker-ca.pem")

    @property
    def lock(self) -> Path:
        """Held while somebody changes this installation."""
        return self.agent.parent / ".install.lock"

    @property
    def mode(self) -> str:
        """``system`` or ``user``."""
        return "system" if self.system else "user"


def system_layout() -> Layout:
    """Return where root's agent lives."""
    return Layout(
        system=True,
        agent=Path("/opt/outrider/agent"),
        config=Path("/etc/outrider/agent.toml"),
        state=Path("/var/lib/outrider"),
        unit=Path("/etc/systemd/system") / UNIT,
    )


def user_layout(home: Path) -> Layout:
    """Return where the agent of a user without root lives."""
    return Layout(
        system=False,
        agent=home / ".local" / "opt" / "outrider" / "agent",
        config=home / ".config" / "outrider" / "agent.toml",
        state=home / ".local" / "state" / "outrider",
        unit=home / ".config" / "systemd" / "user" / UNIT,
    )


def my_layout(prefix: Optional[str] = None) -> Layout:
    """Return the layout for whoever runs this: the system's for root. `prefix` moves all paths (tests)."""
    layout = system_layout() if os.geteuid() == 0 else user_layout(Path.home())
    if not prefix:
        return layout
    return Layout(
        system=layout.system,
        agent=_below(prefix, layout.agent),
        config=_below(prefix, layout.config),
        state=_below(prefix, layout.state),
        unit=_below(prefix, layout.unit),
    )


def _below(prefix: str, path: Path) -> Path:
    return Path(prefix) / str(path).lstrip("/")
