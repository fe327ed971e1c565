"""Waiting in tests: for a condition, with a deadline, never for a time."""

from __future__ import annotations

import time
from typing import Callable, TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T],
    timeout_seconds: float = 10.0,
    describe: str = "the condition",
    *,
    poll_seconds: float = 0.02,
) -> T:
    """Return the condition's first true value; raises AssertionError with `describe` at the deadline."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {timeout_seconds:g} s in vain for {describe}; last seen: {value!r}")
        time.sleep(poll_seconds)
