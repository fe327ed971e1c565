"""Finding the processes that belong to an agent, and ending them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Optional

from .layout import Layout

#: In the environment of everything that an operation starts (see `outrider.agent.runner.protocol`).
MARKER = b"OUTRIDER_ATTEMPT="


def processes_of(layout: Layout) -> list[int]:
    """Return the pids of the agent, its runners, and all that operations started and that still lives."""
    folders = [f"{folder}/".encode() for folder in (layout.agent, layout.state)]
    mine = set(_ancestors(os.getpid()))
    found = [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and int(entry.name) not in mine and _belongs(entry, folders, layout)
    ]
    return sorted(found)


def _belongs(entry: Path, folders: list[bytes], layout: Layout) -> bool:
    try:
        if not layout.system and entry.stat().st_uid != os.getuid():
            return False
        if (entry / "stat").read_bytes().rsplit(b") ", 1)[1][:1] in (b"Z", b"X"):
            return False
        command = (entry / "cmdline").read_bytes()
        environment = (entry / "environ").read_bytes()
    except (OSError, IndexError):
        return False  # it ended, or it is the kernel's or another user's
    marked = any(part.startswith(MARKER) for part in environment.split(b"\0"))
    return marked or any(folder in command for folder in folders)


def _ancestors(pid: int) -> list[int]:
    """Return a process and all its ancestors: they hold our arguments, and are not to be ended."""
    found = []
    while pid > 1:
        found.append(pid)
        try:
            pid = int(
                Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rsplit(") ", 1)[1].split()[1]
            )
        except (OSError, IndexError, ValueError):
            break
    return found


def end_processes(layout: Layout, *, grace_seconds: float) -> tuple[list[int], list[int]]:
    """End them all: asked first, killed after the grace. Returns those that were ended, and those still there."""
    ended: set[int] = set()
    deadline = time.monotonic() + grace_seconds
    sign = signal.SIGTERM
    # A process may have forked between being listed and being signalled, so it is listed again until none is left.
    while True:
        living = processes_of(layout)
        if not living:
            return sorted(ended), []
        if time.monotonic() >= deadline:
            if sign == signal.SIGKILL:
                return sorted(ended - set(living)), living
            sign, deadline = signal.SIGKILL, time.monotonic() + 5.0
        for pid in living:
            if sign == signal.SIGKILL or pid not in ended:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sign)
            ended.add(pid)
        time.sleep(0.05)


def locked_pid(path: Path) -> Optional[int]:
    """Return the living process that a pid file names, or None."""
    try:
        pid = int(path.read_text(encoding="ascii").strip())
        os.kill(pid, 0)
    except (OSError, ValueError):
        return None
    return pid
