"""Control groups for operations, version 2 where there is one (also beside version 1), else version 1.

A group tells for certain which processes an operation has, however they daemonised, and it measures and limits their
memory. The runner creates the groups ahead of the operations; the agent reads and kills them too, also after a restart,
since a group is named by plain paths. Where groups may not be made, `detect` returns None and `tree` does without.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

#: What the kernel says of this process.
_MOUNTS, _OWN = Path("/proc/self/mountinfo"), Path("/proc/self/cgroup")
_POLL_SECONDS = 0.005
#: What the kernel says of a group that was removed, before and while its file is read.
_GONE = (errno.ENOENT, errno.ENODEV)


class Hierarchy(NamedTuple):
    """Where one hierarchy of groups is mounted, and the group of this process inside it."""

    version: int
    folder: Path


class Group(NamedTuple):
    """The groups of one operation: one that tracks its processes, and one that limits memory (often the same).

    Folders as text, not `Path`: on every operation's way, and each page of memory that it touches is copied.
    """

    version: int
    tracking: str
    memory_version: int
    memory: Optional[str]

    def describe(self) -> dict[str, Any]:
        """Return this as JSON values, for `hello`, journal and marker."""
        return {
            "version": self.version,
            "tracking": self.tracking,
            "memory_version": self.memory_version,
            "memory": self.memory,
        }

    def enter(self) -> None:
        """Move the calling process in; its later children are born there. Raises `OSError`."""
        for folder in self._folders():
            _write(f"{folder}/cgroup.procs", "0")

    def pids(self) -> list[int]:
        """Return the processes inside; none if the group is gone. Raises `OSError` if that cannot be known."""
        return _pids(self.tracking)

    def kill(self, *, limit_seconds: float) -> bool:
        """Kill everything inside until it is empty; returns whether it is."""
        deadline = time.monotonic() + limit_seconds
        if self.version == 1:
            # Frozen processes cannot fork while the list of them is read.
            self._freeze("FROZEN")
        try:
            self._kill_members()
        finally:
            if self.version == 1:
                self._freeze("THAWED")
        while self.pids():
            if time.monotonic() > deadline:
                return False
            self._kill_members()
            time.sleep(_POLL_SECONDS)
        return True

    def peak_memory_bytes(self) -> Optional[int]:
        """Return the most memory that the group used at once, if the kernel counts that."""
        name = "memory.peak" if self.memory_version == 2 else "memory.max_usage_in_bytes"
        return _number(f"{self.memory}/{name}") if self.memory else None

    def killed_for_memory(self) -> bool:
        """Return whether the kernel killed a process of the group for memory."""
        if self.memory is None:
            return False
        name = "memory.events" if self.memory_version == 2 else "memory.oom_control"
        with contextlib.suppress(OSError, ValueError):
            lines = (line.split() for line in Path(self.memory, name).read_text(encoding="ascii").splitlines())
            return any(key == "oom_kill" and int(count) > 0 for key, count in lines)
        return False

    def remove(self) -> bool:
        """Remove the empty group; returns whether it is gone."""
        gone = True
        for folder in self._folders():
            try:
                os.rmdir(folder)  # noqa: PTH106 - on every operation's way
            except FileNotFoundError:
                continue
            except OSError:
                gone = False
        return gone

    def _folders(self) -> list[str]:
        if self.memory is None or self.memory == self.tracking:
            return [self.tracking]
        return [self.tracking, self.memory]

    def _kill_members(self) -> None:
        if self.version == 2:
            with contextlib.suppress(OSError):
                # Linux 5.14 and later: all at once, forks included.
                _write(f"{self.tracking}/cgroup.kill", "1")
                return
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, 9)

    def _freeze(self, state: str) -> None:
        # Absent when the tracking group is not in the freezer's hierarchy: killing until empty still ends it.
        with contextlib.suppress(OSError):
            _write(f"{self.tracking}/freezer.state", state)


def group_from(description: Optional[dict[str, Any]]) -> Optional[Group]:
    """Return the group that `Group.describe` described."""
    if not description:
        return None
    memory = description.get("memory")
    return Group(
        int(description["version"]),
        str(description["tracking"]),
        int(description.get("memory_version", 1)),
        str(memory) if memory else None,
    )


class Groups:
    """Makes the groups of one runner's operations."""

    def __init__(self, tracking: Hierarchy, memory: Optional[Hierarchy], prefix: str) -> None:
        self._tracking = tracking
        self._memory = memory
        self._prefix = prefix
        self._count = 0

    def create(self, *, memory_limit_bytes: Optional[int]) -> Group:
        """Make the next group; raises `OSError`."""
        self._count += 1
        name = f"{self._prefix}{self._count}"
        tracking = f"{self._tracking.folder}/{name}"
        os.mkdir(tracking)  # noqa: PTH102 - on every operation's way
        memory: Optional[str] = None
        if self._memory is not None and self._memory.folder == self._tracking.folder:
            memory = tracking
        elif self._memory is not None and memory_limit_bytes is not None:
            # A second group costs each operation half a millisecond, so there is one only where it has a limit to keep.
            memory = f"{self._memory.folder}/{name}"
            os.mkdir(memory)  # noqa: PTH102 - as above
        if self._memory is not None and memory is not None and memory_limit_bytes is not None:
            _limit_memory(memory, self._memory.version, memory_limit_bytes)
        return Group(self._tracking.version, tracking, self._memory.version if self._memory else 1, memory)

    @property
    def limits_memory(self) -> bool:
        """Whether groups can bound an operation's memory."""
        return self._memory is not None

    @property
    def folders(self) -> list[str]:
        """The folders that the groups are made in, for cleaning up after a runner that died."""
        return [str(hierarchy.folder) for hierarchy in (self._tracking, self._memory) if hierarchy is not None]


def prefix_of(runner_id: str) -> str:
    """Return how the groups of one life of a runner begin.

    A runner may start over in the same folder and process. An attempt of its former life is still known by its group,
    and is ended by it before the next try: a new operation must not be in there.
    """
    return f"outrider-{runner_id}-{os.urandom(3).hex()}-"


def detect(prefix: str) -> Optional[Groups]:
    """Return what makes groups below this process's own group, or None where that is not allowed."""
    hierarchies = _hierarchies()
    unified = hierarchies.get("unified")
    for candidate in (unified, hierarchies.get("freezer"), hierarchies.get("name=systemd")):
        if candidate is not None and _writable(candidate, prefix):
            return Groups(candidate, _memory_hierarchy(candidate, hierarchies, prefix), prefix)
    return None


def _memory_hierarchy(tracking: Hierarchy, known: dict[str, Hierarchy], prefix: str) -> Optional[Hierarchy]:
    legacy = known.get("memory")
    if legacy is not None:
        return legacy if _writable(legacy, prefix) else None
    if tracking.version == 2 and _enable_memory(tracking.folder):
        return tracking
    return None


def _enable_memory(folder: Path) -> bool:
    """Let groups below `folder` count memory: version 2 wants that no process is in `folder` itself then."""
    try:
        if "memory" not in (folder / "cgroup.controllers").read_text(encoding="ascii").split():
            return False
        if "memory" in (folder / "cgroup.subtree_control").read_text(encoding="ascii").split():
            return True
        if set(_pids(folder)) - {os.getpid()}:
            return False
        own = folder / f"runner-{os.getpid()}"
        own.mkdir()
        _write(own / "cgroup.procs", "0")
        _write(folder / "cgroup.subtree_control", "+memory")
    except OSError:
        return False
    return True


def _hierarchies() -> dict[str, Hierarchy]:
    """Return controller (or ``unified``) → hierarchy, with this process's group, from /proc."""
    mounts: dict[str, Path] = {}
    for line in _MOUNTS.read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        root, folder = before.split()[3:5]
        kind, _, options = after.split()[:3]
        if root != "/" or kind not in ("cgroup", "cgroup2"):
            continue
        for name in ["unified"] if kind == "cgroup2" else options.split(","):
            mounts.setdefault(name, Path(folder))
    found: dict[str, Hierarchy] = {}
    for line in _OWN.read_text(encoding="utf-8").splitlines():
        _, controllers, group = line.split(":", 2)
        for name in [part for part in controllers.split(",") if part] or ["unified"]:
            if name in mounts:
                found[name] = Hierarchy(2 if name == "unified" else 1, mounts[name] / group.lstrip("/"))
    return found


def _writable(hierarchy: Hierarchy, prefix: str) -> bool:
    """Find out by trying: permissions, namespaces and delegation have too many rules to be read off."""
    probe = hierarchy.folder / f"{prefix}probe"
    try:
        probe.mkdir()
    except OSError:
        return False
    try:
        # A group that nobody can be moved to is of no use; a child of ours is moved, not this process.
        return _can_enter(probe)
    finally:
        _remove_patiently(probe)


def _can_enter(folder: Path) -> bool:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            _write(folder / "cgroup.procs", "0")
            status = 0
        except OSError:
            status = 1
        finally:
            os._exit(status)
    _, wait_status = os.waitpid(pid, 0)
    return wait_status == 0


def _remove_patiently(folder: Path) -> None:
    # The kernel takes a moment after the last process ended.
    for _ in range(100):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(_POLL_SECONDS)
        else:
            return


def _limit_memory(folder: str, version: int, limit_bytes: int) -> None:
    if version == 2:
        _write(f"{folder}/memory.max", str(limit_bytes))
        with contextlib.suppress(OSError):
            _write(f"{folder}/memory.swap.max", "0")
        return
    _write(f"{folder}/memory.limit_in_bytes", str(limit_bytes))
    with contextlib.suppress(OSError):
        # Only where swap is counted: otherwise the limit would be memory, and swap without end.
        _write(f"{folder}/memory.memsw.limit_in_bytes", str(limit_bytes))


def _pids(folder: Union[Path, str]) -> list[int]:
    try:
        return [int(line) for line in Path(folder, "cgroup.procs").read_text(encoding="ascii").split()]
    except OSError as error:
        if error.errno in _GONE:
            return []
        # No descriptor is left, say: that proves nothing of who is in there.
        raise


def _number(path: str) -> Optional[int]:
    try:
        return int(Path(path).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _write(path: Union[Path, str], text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)
