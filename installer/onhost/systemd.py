"""The agent as a systemd service: the system's, or a user's with linger."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .errors import HostError
from .files import write_atomic
from .layout import SLICE, UNIT, Layout

#: How long systemd waits for the agent to say that it is ready, and to stop.
START_SECONDS = 90
STOP_SECONDS = 90

TEMPLATE = """\
# Written by Outrider's installer; an upgrade writes it again. Changes belong into a drop-in: systemctl edit {unit}
[Unit]
Description=Outrider agent
Documentation=man:systemd.service(5)
{network}
# A broker or disk that is away for long is no reason to give up.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={python} -m outrider.agent --config {config}
WorkingDirectory={state}
Environment=PYTHONUNBUFFERED=1
WatchdogSec=60
Restart=always
RestartSec=2
TimeoutStartSec={start}
TimeoutStopSec={stop}
# Runners live in scopes of their own below {slice}; should one be in the agent's own group, a restart spares it.
KillMode=process
# A plugin killed for memory does not stop the agent.
OOMPolicy=continue
TasksMax=infinity
LimitNOFILE=65536
# Plugins install packages, mount disks and use sudo: what would take that from them (NoNewPrivileges, Protect…,
# PrivateTmp, capability bounds) is not set, because runners inherit it.
LockPersonality=yes
UMask=0022

[Install]
WantedBy={target}
"""


def unit_text(layout: Layout) -> str:
    """Return the unit file."""
    return TEMPLATE.format(
        unit=UNIT,
        slice=SLICE,
        network="Wants=network-online.target\nAfter=network-online.target" if layout.system else "",
        python=layout.python,
        config=layout.config,
        state=layout.state,
        start=START_SECONDS,
        stop=STOP_SECONDS,
        target="multi-user.target" if layout.system else "default.target",
    )


def running() -> bool:
    """Return whether systemd is this host's service manager."""
    return Path("/run/systemd/system").is_dir() and shutil.which("systemctl") is not None


def user_manager() -> bool:
    """Return whether this user's service manager answers."""
    if not running():
        return False
    return systemctl_user("show-environment", check=False).returncode == 0


def lingers() -> bool:
    """Return whether this user's services start with the machine."""
    return Path("/var/lib/systemd/linger", _user()).exists()


def enable_linger() -> bool:
    """Try to have this user's services start with the machine; many systems leave that to root."""
    if lingers():
        return True
    if shutil.which("loginctl") is None:
        return False
    # Without a terminal and without polkit this ends at once, with a refusal.
    command = ["loginctl", "--no-ask-password", "enable-linger", _user()]
    try:
        subprocess.run(command, capture_output=True, timeout=15, check=False)
    except subprocess.TimeoutExpired:
        return False
    return lingers()


def install(layout: Layout) -> bool:
    """Write and enable the unit; returns whether it changed."""
    changed = write_atomic(layout.unit, unit_text(layout), mode=0o644)
    if changed:
        systemctl(layout, "daemon-reload")
    systemctl(layout, "enable", UNIT)
    return changed


def restart(layout: Layout) -> None:
    """Start the service, or start it anew."""
    systemctl(layout, "reset-failed", UNIT, check=False)
    systemctl(layout, "restart", "--no-block", UNIT)


def stop(layout: Layout) -> None:
    """Stop the service, and the scopes of its runners."""
    systemctl(layout, "stop", UNIT, check=False)
    systemctl(layout, "stop", SLICE, check=False)


def remove(layout: Layout) -> None:
    """Forget the unit."""
    systemctl(layout, "disable", UNIT, check=False)
    layout.unit.unlink(missing_ok=True)
    shutil.rmtree(layout.unit.with_name(f"{UNIT}.d"), ignore_errors=True)
    systemctl(layout, "daemon-reload", check=False)
    systemctl(layout, "reset-failed", UNIT, check=False)


def state(layout: Layout) -> str:
    """Return systemd's word: ``active``, ``activating``, ``failed``, ``inactive`` …"""
    return systemctl(layout, "is-active", UNIT, check=False).stdout.strip() or "unknown"


def starts_again(layout: Layout) -> int:
    """Return how often systemd has started the service again by itself."""
    shown = systemctl(layout, "show", "-p", "NRestarts", "--value", UNIT, check=False).stdout.strip()
    return int(shown) if shown.isdigit() else 0


def log_tail(layout: Layout, lines: int) -> str:
    """Return the last lines of the service's log."""
    command = ["journalctl", "--no-pager", "-o", "short-iso", "-n", str(lines)]
    command += ["-u", UNIT] if layout.system else ["--user-unit", UNIT]
    if shutil.which("journalctl") is None:
        return ""
    answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return answer.stdout.strip()


def systemctl(layout: Layout, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run systemctl for the system's or the user's manager."""
    if not layout.system:
        return systemctl_user(*arguments, check=check)
    return _run(["systemctl", *arguments], check=check, environment=dict(os.environ))


def systemctl_user(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run systemctl for the user's manager, which is found through its runtime folder."""
    runtime = f"/run/user/{os.getuid()}"
    environment = {**os.environ, "XDG_RUNTIME_DIR": runtime, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus"}
    return _run(["systemctl", "--user", *arguments], check=check, environment=environment)


def _run(command: list[str], *, check: bool, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    limit = STOP_SECONDS + 30
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=limit, env=environment, check=False)
    except subprocess.TimeoutExpired as error:
        text = f"`{' '.join(command)}` did not end within {limit} s"
        raise HostError("service", text, "look at `systemctl list-jobs` on the host") from error
    if check and answer.returncode != 0:
        said = (answer.stderr or answer.stdout).strip()
        raise HostError("service", f"`{' '.join(command)}` failed: {said}", "run it on the host to see more")
    return answer


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name
