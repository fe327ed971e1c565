"""Processes as /proc shows them: who lives, who descends from whom, who carries an attempt's marker.

A process is named by its pid and its start time (in clock ticks since the boot), because pids are used again. Used by
runner, child and agent; reads /proc only, so that the runner needs nothing beside the standard library.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import signal
from pathlib import Path
from typing import NamedTuple, Optional

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
#: Why nothing can be opened at the moment, whatever there is.
SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_LIBC = ctypes.CDLL(None, use_errno=True)


class Status(NamedTuple):
    """One process: a line of ``/proc/<pid>/stat``, as far as it is needed here."""

    pid: int
    #: ``R``, ``S``, ``T`` …; ``Z`` is a process that has ended and was not waited for.
    state: str
    parent: int
    session: int
    start_ticks: int


@functools.lru_cache(maxsize=1)
def boot_id() -> str:
    """Return the random name of this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def status(pid: int) -> Optional[Status]:
    """Return what /proc says of a process, or None if there is none. Raises `OSError` if that cannot be known."""
    try:
        # Plain descriptors: on every operation's way, and a file object costs several times as much.
        file = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        unless_short(error)
        return None
    try:
        line = os.read(file, 4096)
    except OSError:
        # It ended in between.
        return None
    finally:
        os.close(file)
    # The second field, the command's name, may hold spaces and parentheses: the last one ends it.
    fields = line[line.rfind(b")") + 2 :].split()
    return Status(pid, fields[0].decode("ascii"), int(fields[1]), int(fields[3]), int(fields[19]))


def unless_short(error: Exception) -> None:
    """Raise an error that says nothing of what was looked for: taken for its absence, it would end what runs."""
    if isinstance(error, OSError) and error.errno in SHORTAGES:
        raise error


def start_ticks(pid: int) -> int:
    """Return the start time of a process; 0 if there is none."""
    found = status(pid)
    return found.start_ticks if found else 0


def alive(pid: int, started: int) -> bool:
    """Return whether exactly this process lives: not a later one of the same pid, and not a zombie."""
    found = status(pid)
    return found is not None and found.start_ticks == started and found.state not in "ZX"


def everything() -> list[Status]:
    """Return all processes that this process may see."""
    found = (status(int(name)) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 - names suffice
    return [process for process in found if process is not None]


def descendants(pid: int, *, among: Optional[list[Status]] = None) -> list[Status]:
    """Return all living processes below `pid`, without itself."""
    children: dict[int, list[Status]] = {}
    for process in everything() if among is None else among:
        children.setdefault(process.parent, []).append(process)
    found: list[Status] = []
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            found.append(child)
            waiting.append(child.pid)
    return [process for process in found if process.state not in "ZX"]


def marked(variable: str, value: str, *, among: Optional[list[Status]] = None) -> list[Status]:
    """Return all living processes that were started with `variable` = `value` in their environment."""
    wanted = f"{variable}={value}".encode()
    return [
        process
        for process in (everything() if among is None else among)
        if process.state not in "ZX" and wanted in _environment(process.pid)
    ]


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def kill(process: Status, number: signal.Signals) -> None:
    """Send a signal to exactly this process; one that has ended, or whose pid is used again, gets none."""
    if start_ticks(process.pid) != process.start_ticks:
        return
    try:
        os.kill(process.pid, number)
    except (ProcessLookupError, PermissionError):
        # Gone in between; or it changed its user: then the scan that follows finds it alive and says so.
        return


def become_subreaper() -> bool:
    """Have orphaned descendants reparented to this process instead of init; returns whether it worked."""
    return int(_LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) == 0


def die_with_parent(number: int) -> None:
    """Get a signal when the parent ends; 0 takes it back. Never used on a running operation."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
