"""A command that runs on a host: its input, its output, its end. Made by `Connection.open`."""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass
from typing import Callable, Optional

import paramiko

from outrider.plugins.ssh.access.errors import CommandAbandoned, CommandTimedOut, ConnectionLost
from outrider.plugins.ssh.access.target import SshTarget

CHUNK = 1 << 17
POLL_SECONDS = 0.02
#: How much of each stream is kept where a listener takes all of it as it comes.
KEPT_BYTES = 64 * 1024
#: How long output is read after the command's end, if a process that it left behind holds the stream.
DRAIN_SECONDS = 1.0

#: Gets each piece of output as it comes: the stream's name (``stdout``, ``stderr``) and the bytes.
Listener = Callable[[str, bytes], None]


@dataclass(frozen=True)
class CommandAnswer:
    """What a command gave."""

    code: int
    stdout: str
    stderr: str


class Running:
    """A command that runs on the host. Every wait in it ends at the command's limit, or when the line is dead."""

    def __init__(self, target: SshTarget, channel: paramiko.Channel, *, name: str, limit_seconds: float) -> None:
        self._target = target
        self._channel = channel
        self._name = name if len(name) < 80 else f"{name[:77]}…"
        self._limit = limit_seconds
        self._deadline = time.monotonic() + limit_seconds
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._listener: Optional[Listener] = None
        self._abandoned: Callable[[], bool] = lambda: False
        self.bytes_sent = 0

    def listen(self, listener: Listener) -> None:
        """Have output passed on as it comes; from now on only its last part is kept."""
        for name, kept in (("stdout", self._stdout), ("stderr", self._stderr)):
            if kept:
                listener(name, bytes(kept))
        self._listener = listener

    def abandon_when(self, condition: Callable[[], bool]) -> None:
        """Have all waiting end with `CommandAbandoned` as soon as the condition holds."""
        self._abandoned = condition

    def send(self, data: bytes) -> int:
        """Write all of it to the command's standard input; returns its length."""
        rest = memoryview(data)
        while rest:
            try:
                sent = self._channel.send(bytes(rest))
            except socket.timeout:
                self._drain()
                self._check()
                continue
            if sent == 0:
                break  # the command does not read any more: its answer will say why
            self.bytes_sent += sent
            rest = rest[sent:]
        return len(data)

    def end_input(self) -> None:
        """Tell the command that there is no more."""
        with contextlib.suppress(OSError):
            self._channel.shutdown_write()

    def wait_for_stderr(self, *markers: str) -> str:
        """Wait until one of the markers stands in the error output, and return it; "" if the command ended before.

        What stands up to the marker is taken out of the output.
        """

        def take_marker() -> Optional[str]:
            found = [(place, each) for each in markers if (place := self._stderr.find(each.encode())) >= 0]
            if not found:
                return None
            place, marker = min(found)
            del self._stderr[: place + len(marker.encode())]
            return marker

        return self._wait_for(take_marker)

    def read_line(self) -> str:
        """Wait for a whole line of output, and return it without its end; "" if the command ended before."""

        def take_line() -> Optional[str]:
            line, end, rest = self._stdout.partition(b"\n")
            if not end:
                return None
            self._stdout = rest
            return line.decode(errors="replace")

        return self._wait_for(take_line)

    def _wait_for(self, take: Callable[[], Optional[str]]) -> str:
        """Wait until `take` finds in the output what it looks for, and return that; "" if the command ended before."""
        while True:
            # Asked first: what an ended command has said is all there then.
            ended = self._channel.exit_status_ready()
            self._drain()
            found = take()
            if found is not None or ended:
                return found or ""
            self._check()

    def finish(self) -> CommandAnswer:
        """Wait for the command's end and return what it said."""
        while not self._channel.exit_status_ready():
            self._drain()
            self._check()
        self._drain_the_rest()
        code = self._channel.recv_exit_status()
        if code < 0:
            raise ConnectionLost(f"the connection to {self._target} broke while `{self._name}` ran")
        return CommandAnswer(code, self._stdout.decode(errors="replace"), self._stderr.decode(errors="replace"))

    def _drain_the_rest(self) -> None:
        """Take what was under way when the command ended: until the stream's end, or until nothing more comes."""
        last = time.monotonic() + DRAIN_SECONDS
        while not self._channel.eof_received and not self._channel.closed and time.monotonic() < last:
            if self._drain():
                last = min(self._deadline, time.monotonic() + DRAIN_SECONDS)
        while self._drain():
            pass

    def _drain(self) -> bool:
        """Take what the command wrote, waiting a moment for it; say whether there was something."""
        got = False
        with contextlib.suppress(socket.timeout):
            if chunk := self._channel.recv(CHUNK):
                self._take("stdout", self._stdout, chunk)
                got = True
            elif not self._channel.exit_status_ready():
                time.sleep(POLL_SECONDS)  # its output ended, itself did not: do not spin
        while self._channel.recv_stderr_ready():
            self._take("stderr", self._stderr, self._channel.recv_stderr(CHUNK))
            got = True
        return got

    def _take(self, name: str, kept: bytearray, chunk: bytes) -> None:
        kept += chunk
        if self._listener is not None:
            del kept[:-KEPT_BYTES]
            self._listener(name, chunk)

    def _check(self) -> None:
        if self._channel.closed and not self._channel.exit_status_ready():
            raise ConnectionLost(f"the connection to {self._target} broke while `{self._name}` ran")
        if self._abandoned():
            raise CommandAbandoned(f"`{self._name}` on {self._target} is not waited for any more")
        if time.monotonic() >= self._deadline:
            said = self._stderr.decode(errors="replace").strip()[-300:]
            raise CommandTimedOut(
                f"`{self._name}` on {self._target} did not end within {self._limit:g} s; it said: {said or 'nothing'}",
                remedy="see whether the host is overloaded or its network is cut, then run this again",
            )
