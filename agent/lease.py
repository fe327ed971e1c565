"""Whether this agent may start operations: only while the dispatcher surely believes it alive.

A dispatcher gives an attempt up when the agent's lease is over. So that nothing starts after such a verdict, an agent
starts an attempt only while its last confirmed heartbeat is younger than half a lease, by the boot-time clock; and what
was accepted before a longer silence is not started at all, but handed back as never started.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Callable, Optional

from outrider.agent.clock import boot_clock
from outrider.agent.runner.processes import boot_id


class Lease:
    """The agent's view of its own lease."""

    def __init__(self, *, lease_seconds: float, note: Path, clock: Callable[[], float] = boot_clock) -> None:
        self._half = lease_seconds / 2
        self._note = note
        self._clock = clock
        self._boot_id = boot_id()
        self._condition = threading.Condition()
        self._confirmed_at: Optional[float] = self._read_note()
        self._silences = 0
        #: Whether the agent that ran before this one was heard of recently enough for its accepted attempts to start.
        self.carried_over = self._confirmed_at is not None and self._young(self._confirmed_at)
        if not self.carried_over:
            self._confirmed_at = None

    @property
    def silences(self) -> int:
        """Counts the silences that were longer than half a lease: an attempt from before one must not start."""
        return self._silences

    @property
    def valid(self) -> bool:
        """Whether an operation may start now."""
        return self._confirmed_at is not None and self._young(self._confirmed_at)

    def confirm(self, sent_at: float) -> None:
        """The broker has the heartbeat that was sent at this time of the boot-time clock."""
        with self._condition:
            if self._confirmed_at is not None and sent_at - self._confirmed_at >= self._half:
                self._silences += 1
            self._confirmed_at = sent_at
            self._condition.notify_all()
        with contextlib.suppress(OSError):
            # A hint for the next process of this boot: after a power cut it is worthless anyway, so it is not forced.
            self._note.write_text(f"{self._boot_id} {sent_at}", encoding="ascii")

    def wait(self, timeout_seconds: float) -> bool:
        """Wait until operations may start; returns whether they may."""
        with self._condition:
            return self._condition.wait_for(lambda: self.valid, timeout_seconds)

    def _young(self, confirmed_at: float) -> bool:
        return self._clock() - confirmed_at < self._half

    def _read_note(self) -> Optional[float]:
        with contextlib.suppress(OSError, ValueError):
            boot, clock = self._note.read_text(encoding="ascii").split()
            return float(clock) if boot == self._boot_id else None
        return None
