"""Waiting for the manager's objects."""

import time

from outrider_facade import further_names

__getattr__ = further_names(__name__)


def poll_with_timeout(pollster, timeout, interval=5, expected_result=True):
    """Call `pollster` until it returns `expected_result`; say whether it did within `timeout` seconds (-1: no end)."""
    end = None if timeout == -1 else time.monotonic() + timeout
    while end is None or time.monotonic() <= end:
        if pollster() == expected_result:
            return True
        time.sleep(interval)
    return False
