"""Waiting for an operation's end, and bringing it about.

A child says that it is done on its connection. If that ends otherwise, or there is none (after a restart of the agent),
the process's own end tells, through a pidfd where the kernel has them.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Iterator
from typing import Any, Callable, Optional

from outrider.agent.clock import boot_clock
from outrider.agent.folder import AttemptFolder
from outrider.agent.runner import protocol
from outrider.agent.runner.tree import Tree

#: How long the runner may take to write what it knows of an operation that died.
_RUNNER_WORD_SECONDS = 15.0
_POLL_SECONDS = 0.01
#: Without pidfds (Linux before 5.3) the process is looked at this often.
_LOOK_SECONDS = 0.25
_LINGER_SECONDS = 10.0
#: Most operations say within this time that they are done; until then, their process itself is not watched.
_SOON_MILLISECONDS = 50


class Interrupted(Exception):
    """The agent stops; the operation goes on, and the next agent finds it."""


class Deadline:
    """When the agent itself stops an operation: a backstop behind the runner, which does it first if it lives."""

    def __init__(self, started_clock: float, timeout_seconds: Optional[float], *, slack_seconds: float) -> None:
        self._at = None if timeout_seconds is None else started_clock + timeout_seconds + slack_seconds

    @property
    def left_seconds(self) -> Optional[float]:
        """Seconds until then; None if there is no limit."""
        return None if self._at is None else max(0.0, self._at - boot_clock())

    @property
    def over(self) -> bool:
        """Whether it is time."""
        return self.left_seconds == 0.0


def await_end(
    tree: Tree, connection: Optional[socket.socket], deadline: Deadline, interrupt: int
) -> Optional[dict[str, Any]]:
    """Wait until the operation has ended; returns what its child said at the end, or None if it said nothing.

    Returns None with the process alive if `deadline` is over. `interrupt`: a descriptor that becomes readable when the
    agent stops; raises `Interrupted` then.
    """
    poll = select.poll()
    poll.register(interrupt, select.POLLIN)
    if connection is not None:
        poll.register(connection, select.POLLIN)
        if connection.fileno() in _ready(poll, _SOON_MILLISECONDS):
            said = _said(tree, connection)
            if said is not None:
                return said
            poll.unregister(connection)
            connection = None
    with _pidfd(tree) as pidfd:
        if pidfd is not None:
            poll.register(pidfd, select.POLLIN)
        # One that is gone already cannot be watched: what it said last may still be on the connection.
        wait: Optional[int] = 0 if pidfd is None else _poll_milliseconds(deadline, pidfd)
        while True:
            ready = _ready(poll, wait)
            wait = _poll_milliseconds(deadline, pidfd)
            if connection is not None and connection.fileno() in ready:
                said = _said(tree, connection)
                if said is not None:
                    return said
                poll.unregister(connection)
                connection = None
            elif deadline.over or not _may_live(tree):
                return None
            if interrupt in ready:
                raise Interrupted


def _ready(poll: select.poll, milliseconds: Optional[int]) -> set[int]:
    return {descriptor for descriptor, _ in poll.poll(milliseconds)}


def _said(tree: Tree, connection: socket.socket) -> Optional[dict[str, Any]]:
    """Return what the child said at its end, and wait for that if threads of the operation go on; None: nothing."""
    frame = protocol.receive_frame(connection)
    if frame is None:
        return None
    if frame["lingering"]:
        _wait_gone(tree, _LINGER_SECONDS)
    result: dict[str, Any] = frame["result"]
    return result


def _poll_milliseconds(deadline: Deadline, pidfd: Optional[int]) -> Optional[int]:
    left = deadline.left_seconds
    if pidfd is None:
        left = _LOOK_SECONDS if left is None else min(left, _LOOK_SECONDS)
    return None if left is None else int(left * 1000) + 1


@contextlib.contextmanager
def _pidfd(tree: Tree) -> Iterator[Optional[int]]:
    descriptor: Optional[int] = None
    surely_its = False
    with contextlib.suppress(OSError):
        descriptor = os.pidfd_open(tree.pid)
        # The pid may have been used again before it was opened; then the process that is meant is gone.
        surely_its = tree.root_alive()
    try:
        yield descriptor if surely_its else None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _wait_gone(tree: Tree, limit_seconds: float) -> None:
    deadline = time.monotonic() + limit_seconds
    while _may_live(tree) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS / 5)


def _may_live(tree: Tree) -> bool:
    try:
        return tree.root_alive()
    except OSError:
        # No descriptor is left to look with; the next look tells.
        return True


def last_word(folder: AttemptFolder, runner_alive: Callable[[], bool]) -> Optional[dict[str, Any]]:
    """Return the result in the folder of an operation whose process has ended; waits for the runner to write one."""
    deadline = time.monotonic() + _RUNNER_WORD_SECONDS
    while True:
        try:
            # Asked before looking: what it writes last is there when it is gone.
            writes_still = runner_alive()
            outcome = folder.outcome()
        except OSError:
            # As in `_may_live`.
            writes_still, outcome = True, None
        if outcome is not None or not writes_still or time.monotonic() > deadline:
            return outcome
        time.sleep(_POLL_SECONDS)
