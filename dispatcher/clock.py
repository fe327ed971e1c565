"""The engine's clock, so that tests decide what time it is. Leases in the store go by the database's clock instead."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A monotonic clock."""

    def monotonic(self) -> float:
        """Return seconds since some moment in the past; never goes back."""


class SystemClock:
    """The machine's boot-time clock: it goes on while the machine sleeps, as agents' leases do."""

    def monotonic(self) -> float:
        """Return seconds since boot."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, start: float = 1000.0) -> None:
        self._now = start

    def monotonic(self) -> float:
        """Return the time that was set."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds
