"""What an operation prints after its runner was killed: its own process reads it then, into the same files.

Without a reader, the next print would fail, or end whatever printed. So each child keeps the reading ends of its own
pipes, and the kernel tells it by a signal when the runner's end of their connection closes.
"""

from __future__ import annotations

import _thread
import fcntl
import os
import select
import socket
import time

from outrider.agent.runner import signals
from outrider.agent.runner.capture import Capture, unread_bytes

_POLL_SECONDS = 0.01


class OwnOutput:
    """The output of the operation in this process."""

    def __init__(self, control: socket.socket, pipes: tuple[int, int], directory: str, *, limit_bytes: int) -> None:
        self._control = control
        self._pipes = pipes
        self._directory = directory
        self._limit = limit_bytes
        self.orphaned = False
        #: Held while something is on its way from a pipe to its file.
        self._reading = _thread.allocate_lock()

    def watch(self) -> None:
        """Be told when the runner dies; from then on, read what is printed."""
        signals.handle(signals.IO, self._look)
        descriptor = self._control.fileno()
        fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)
        # It may have died before that.
        self._look()

    def settle(self, limit_seconds: float) -> None:
        """Wait until all that was printed is in the files, if this process reads it."""
        deadline = time.monotonic() + limit_seconds
        while self.orphaned and time.monotonic() < deadline:
            with self._reading:
                if not any(map(unread_bytes, self._pipes)):
                    return
            time.sleep(_POLL_SECONDS)

    def _look(self, *_signal: object) -> None:
        if self.orphaned or not self._runner_is_gone():
            return
        self.orphaned = True
        # Not `threading`: the handler may run while the operation holds that module's locks.
        _thread.start_new_thread(self._read_on, ())

    def _runner_is_gone(self) -> bool:
        # Not a `recv` that fails: on every operation's way, and to raise is expensive in memory that is copied.
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))

    def _read_on(self) -> None:
        poll = select.poll()
        captures = {}
        for descriptor, name in zip(self._pipes, ("stdout", "stderr")):
            capture = captures[descriptor] = Capture(descriptor, limit_bytes=self._limit)
            capture.go_on(f"{self._directory}/{name}")
            poll.register(descriptor, select.POLLIN)
        # This process holds the writing ends as well, so there is no end but its own.
        while True:
            for descriptor, _ in poll.poll():
                with self._reading:
                    captures[descriptor].drain()
