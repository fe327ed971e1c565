"""What keeps the agent running: systemd, a user's systemd, or a detached loop. Chooses, and speaks to it."""

from __future__ import annotations

import time
from typing import Any, Optional

from . import detached, systemd
from .errors import HostError
from .layout import Layout

#: How many lines of the agent's own log go into an error.
#: An agent that ended as often as this without ever being ready is not going to be.
HOPELESS_STARTS = 3
LOG_LINES = 15


def available(layout: Layout) -> dict[str, Any]:
    """Return what this host offers."""
    has_systemd = systemd.running()
    return {
        "systemd": has_systemd,
        "user_manager": (not layout.system) and systemd.user_manager(),
        "linger": (not layout.system) and has_systemd and systemd.lingers(),
        "cron": detached.has_cron(),
    }


def ensure(layout: Layout, kind: Optional[str] = None) -> dict[str, Any]:
    """Install and enable the best service (or the one asked for); return which, and whether it outlives a reboot."""
    chosen = kind or _best(layout)
    if chosen == "systemd":
        if not systemd.running() or not (layout.system or systemd.user_manager()):
            raise HostError(
                "service", "systemd does not run here, or not for this user", "leave the choice to the installer"
            )
        detached.stop(layout)
        detached.remove(layout)
        changed = systemd.install(layout)
        survives = layout.system or systemd.enable_linger()
        return {
            "service": "systemd" if layout.system else "systemd-user",
            "survives_reboot": survives,
            "changed": changed,
        }
    if layout.unit.exists():
        systemd.stop(layout)
        systemd.remove(layout)
    changed = detached.install(layout)
    survives = detached.has_cron()
    if survives:
        detached.enable_at_reboot(layout)
    return {"service": "detached", "survives_reboot": survives, "changed": changed}


def _best(layout: Layout) -> str:
    if layout.system:
        return "systemd" if systemd.running() else "detached"
    # A user's unit ends with the last session where linger is refused; cron's loop goes on.
    if systemd.user_manager() and systemd.enable_linger():
        return "systemd"
    return "detached"


def installed(layout: Layout) -> Optional[str]:
    """Return the kind of service that is installed, as `ensure` takes it."""
    if layout.unit.exists():
        return "systemd"
    return "detached" if layout.respawn.exists() else None


def restart(layout: Layout) -> None:
    """Start the agent, or start it anew."""
    _of(layout).restart(layout)


def stop(layout: Layout) -> None:
    """Stop the agent, and its runners where the service manager knows them."""
    _of(layout).stop(layout)


def remove(layout: Layout) -> None:
    """Remove whatever service there is."""
    if layout.unit.exists():
        systemd.remove(layout)
    detached.remove(layout)


def state(layout: Layout) -> str:
    """Return ``active``, ``inactive``, ``failed`` …, or ``none`` where no service is installed."""
    if not layout.unit.exists() and not layout.respawn.exists():
        return "none"
    return str(_of(layout).state(layout))


def log_tail(layout: Layout, lines: int = LOG_LINES) -> str:
    """Return the end of the agent's log."""
    return str(_of(layout).log_tail(layout, lines))


def wait_until_active(layout: Layout, timeout_seconds: float) -> None:
    """Return when the service runs; raises with the end of its log if it does not."""
    began = time.monotonic()
    found, starts_before = "", _of(layout).starts_again(layout)
    while time.monotonic() < began + timeout_seconds:
        found = state(layout)
        if found == "active":
            return
        # It is started again for ever, so it never counts as failed where it ends right after every start.
        if found == "failed" or _of(layout).starts_again(layout) >= starts_before + HOPELESS_STARTS:
            break
        time.sleep(0.2)
    tail = log_tail(layout)
    seconds = time.monotonic() - began
    raise HostError(
        "service",
        f"the agent's service is {found or 'unknown'} after {seconds:.0f} s; its log ends:\n{tail or '(no log)'}",
        "mend what the log says, and run the installation again",
    )


def _of(layout: Layout) -> Any:
    return systemd if layout.unit.exists() else detached
