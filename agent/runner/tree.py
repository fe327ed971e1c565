"""Ending an operation's whole process tree, and knowing that nothing of it is left.

Used by the runner (timeouts, operations that died) and by the agent (cancel, a runner that is gone, the attempt before
a new one). With a control group the kernel's own list is the proof. Without one, the operation's process is the
subreaper of its descendants: stopped, it can neither reap nor fork, so two scans in a row that find nobody below it
prove that only it is left. Once that process is gone, orphans are known by their marker and session only, and that is
said: not confirmed, unless nothing outlived it by the runner's own count.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any, NamedTuple, Optional

from outrider.agent.runner import processes
from outrider.agent.runner.cgroups import Group, group_from
from outrider.agent.runner.processes import Status
from outrider.agent.runner.protocol import MARKER

_POLL_SECONDS = 0.01
#: How long a killed process may take to vanish (uninterruptible disk waits take longest) before that is said.
KILL_LIMIT_SECONDS = 10.0

#: The values of `messages.Proof` that a tree can end with; the runner cannot import them.
PROOF_CGROUP, PROOF_SUBREAPER, PROOF_NONE = "cgroup", "subreaper", "none"


class Tree(NamedTuple):
    """One operation's processes: the first of them by pid and start time, and what finds the others."""

    attempt_id: str
    pid: int
    start_ticks: int
    group: Optional[Group]

    @classmethod
    def of(cls, attempt_id: str, identity: dict[str, Any]) -> Tree:
        """Return the tree of the child that introduced itself with `identity`."""
        return cls(attempt_id, int(identity["pid"]), int(identity["start_ticks"]), group_from(identity.get("group")))

    def root_alive(self) -> bool:
        """Return whether the operation's own process lives."""
        return processes.alive(self.pid, self.start_ticks)

    def members(self) -> list[Status]:
        """Return all processes of the operation that can be found."""
        if self.group is not None:
            found = (processes.status(pid) for pid in self.group.pids())
            return [process for process in found if process is not None and process.state not in "ZX"]
        among = processes.everything()
        known = {process.pid: process for process in processes.marked(MARKER, self.attempt_id, among=among)}
        if processes.alive(self.pid, self.start_ticks):
            known.update((process.pid, process) for process in processes.descendants(self.pid, among=among))
            known.update((process.pid, process) for process in among if process.pid == self.pid)
        # Its session's number stays taken as long as a process of the session lives. So it is another's only if all of
        # them have ended; then the pid is used again by whoever began that session, and shows it.
        if all(process.start_ticks == self.start_ticks for process in among if process.pid == self.pid):
            known.update(
                (process.pid, process)
                for process in among
                if process.session == self.pid and process.start_ticks >= self.start_ticks and process.state not in "ZX"
            )
        return list(known.values())

    def end(self, *, grace_seconds: float) -> str:
        """End everything: SIGTERM, grace, then by force. Returns the proof; `PROOF_NONE` means not confirmed."""
        had_root = self.root_alive()
        if grace_seconds > 0:
            self._ask(grace_seconds)
        if self.group is not None:
            return PROOF_CGROUP if self.group.kill(limit_seconds=KILL_LIMIT_SECONDS) else PROOF_NONE
        if self.root_alive():
            return PROOF_SUBREAPER if self._end_below_stopped_root() else PROOF_NONE
        emptied = self._kill_found()
        # The child kills what is below it before it ends by itself (see `operation`), so an orderly end is a proof too.
        return PROOF_SUBREAPER if emptied and had_root and not self.members() else PROOF_NONE

    def _ask(self, grace_seconds: float) -> None:
        for process in self.members():
            processes.kill(process, signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        while self.members() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)

    def _end_below_stopped_root(self) -> bool:
        root = Status(self.pid, "S", 0, 0, self.start_ticks)
        processes.kill(root, signal.SIGSTOP)
        deadline = time.monotonic() + KILL_LIMIT_SECONDS
        empty_scans = 0
        while empty_scans < 2:
            below = [process for process in self.members() if process.pid != self.pid]
            for process in below:
                processes.kill(process, signal.SIGKILL)
            empty_scans = 0 if below else empty_scans + 1
            if time.monotonic() > deadline:
                break
            time.sleep(_POLL_SECONDS)
        processes.kill(root, signal.SIGKILL)
        while self.root_alive() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        return empty_scans >= 2 and not self.root_alive()

    def _kill_found(self) -> bool:
        deadline = time.monotonic() + KILL_LIMIT_SECONDS
        while True:
            found = self.members()
            if not found:
                return True
            for process in found:
                if process.pid != os.getpid():
                    processes.kill(process, signal.SIGKILL)
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
