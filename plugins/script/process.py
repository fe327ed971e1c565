"""Runs a script's process: its output becomes log lines as it appears, and it is ended when the script says so."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Callable, Optional, Protocol

#: A longer line is logged in pieces.
MAX_LINE_BYTES = 16 * 1024
#: How much of each stream is kept for the error of a failed script.
KEPT_BYTES = 64 * 1024
#: How long a script may go on after it aborted the operation, or asked for a retry, before it is ended.
STOP_GRACE_SECONDS = 10.0
#: From SIGTERM to SIGKILL.
KILL_GRACE_SECONDS = 5.0
#: How long output is read after the script ended, if a process that it left behind holds the stream.
DRAIN_SECONDS = 1.0
_POLL_SECONDS = 0.25
_CHUNK = 65536


@dataclass(frozen=True)
class Finished:
    """How a process ended."""

    exit_code: int
    #: The last part of what it printed.
    stdout: str
    stderr: str


class OnDemand(Protocol):
    """What a script may ask of its operation: begun when its descriptor becomes readable."""

    def fileno(self) -> int: ...
    def start(self) -> None:
        """Begin to answer; more than once is no mistake."""


class OutputStream:
    """One stream of the process: bytes in, log lines out; the last part is kept."""

    def __init__(self, log: Optional[Callable[[str], None]]) -> None:
        self._log = log
        self._line = bytearray()
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0

    def feed(self, data: bytes) -> None:
        """Take what was read."""
        self._kept.append(data)
        self._kept_bytes += len(data)
        while self._kept_bytes - len(self._kept[0]) >= KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popleft())
        if self._log is not None:
            self._line += data
            for line in self._lines():
                self._log(decode(line))

    def finish(self) -> None:
        """Log what is left without a newline."""
        if self._log is not None and self._line:
            self._log(decode(bytes(self._line)))
            self._line.clear()

    @property
    def tail(self) -> str:
        """The last part of what was read."""
        return decode(b"".join(self._kept)[-KEPT_BYTES:])

    def _lines(self) -> Iterator[bytes]:
        *complete, rest = bytes(self._line).split(b"\n")
        for line in complete:
            yield from _pieces(line.rstrip(b"\r"))
        while len(rest) > MAX_LINE_BYTES:
            yield rest[:MAX_LINE_BYTES]
            rest = rest[MAX_LINE_BYTES:]
        self._line[:] = rest


def decode(data: bytes) -> str:
    """Return printable text of any bytes: what is not UTF-8, and NUL, which databases refuse, is escaped."""
    return data.decode("utf-8", "backslashreplace").replace("\x00", "\\x00")


def _pieces(line: bytes) -> Iterator[bytes]:
    if len(line) <= MAX_LINE_BYTES:
        yield line
        return
    for start in range(0, len(line), MAX_LINE_BYTES):
        yield line[start : start + MAX_LINE_BYTES]


def run_process(  # noqa: PLR0913 - keyword-only; each is one setting of a process
    command: str,
    *,
    program: Optional[str],
    environment: Mapping[str, str],
    cwd: Optional[str],
    log_stdout: Optional[Callable[[str], None]],
    log_stderr: Optional[Callable[[str], None]],
    stderr_to_stdout: bool,
    stopped: Callable[[], bool],
    on_demand: Optional[OnDemand] = None,
) -> Finished:
    """Run a shell command to its end; `stopped` says whether it was asked to end early.

    `program` is the file that is all of the command, if it is that: no shell is needed to start it.
    """
    options: dict[str, Any] = {
        "env": dict(environment),
        "cwd": cwd,
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT if stderr_to_stdout else subprocess.PIPE,
        "start_new_session": True,
    }
    process, by_shell = _started(command, program, options)
    streams = {}
    for pipe, log in ((process.stdout, log_stdout), (process.stderr, log_stderr)):
        if pipe is not None:
            streams[pipe.fileno()] = OutputStream(log)
    tails = list(streams.values())
    with process:
        try:
            _pump(process, streams, _Ending(process, stopped), on_demand)
        except BaseException:
            _signal(process, signal.SIGKILL)
            raise
    for stream in tails:
        stream.finish()
    code = process.returncode
    if code < 0 and not by_shell:
        # One that a signal ended: as the shell tells it.
        code = 128 - code
    return Finished(code, tails[0].tail, "" if stderr_to_stdout else tails[1].tail)


def _started(command: str, program: Optional[str], options: dict[str, Any]) -> tuple[subprocess.Popen[bytes], bool]:
    """Start the command; also return whether it is a shell that runs it."""
    if program is not None:
        # A file without a first line that names its interpreter, or with one that is not there, is the shell's to run,
        # or to complain about.
        with suppress(OSError):
            return subprocess.Popen([program], **options), False
    # A script's arguments are written for the shell, by the blueprint's author.
    return subprocess.Popen(command, shell=True, **options), True  # noqa: S602 - see above


def _pump(
    process: subprocess.Popen[bytes],
    streams: dict[int, OutputStream],
    ending: _Ending,
    on_demand: Optional[OnDemand],
) -> None:
    """Read all streams until they end, or until the process has ended and nothing more comes."""
    poll = select.poll()
    for source in (*streams, *(() if on_demand is None else (on_demand,))):
        poll.register(source, select.POLLIN)
    ended_at: Optional[float] = None
    while streams:
        for descriptor, _ in poll.poll(_POLL_SECONDS * 1000):
            if descriptor not in streams:
                poll.unregister(descriptor)
                _begin(on_demand)
            elif data := os.read(descriptor, _CHUNK):
                streams[descriptor].feed(data)
            else:
                poll.unregister(descriptor)
                del streams[descriptor]
        ending.check()
        if process.poll() is None:
            continue
        ended_at = ended_at or time.monotonic()
        if time.monotonic() - ended_at > DRAIN_SECONDS:
            break
    ending.wait(on_demand)


def _begin(on_demand: Optional[OnDemand]) -> None:
    if on_demand is not None:
        on_demand.start()


class _Ending:
    """Ends a process that was asked to end and does not: SIGTERM, then SIGKILL, to its whole process group."""

    def __init__(self, process: subprocess.Popen[bytes], stopped: Callable[[], bool]) -> None:
        self._process = process
        self._stopped = stopped
        self._since: Optional[float] = None
        self._sent: Optional[signal.Signals] = None

    def check(self) -> None:
        """Send the next signal if its time has come."""
        if self._process.poll() is not None or not self._stopped():
            return
        now = time.monotonic()
        self._since = self._since or now
        if self._sent is None and now - self._since >= STOP_GRACE_SECONDS:
            self._send(signal.SIGTERM)
        elif self._sent is signal.SIGTERM and now - self._since >= STOP_GRACE_SECONDS + KILL_GRACE_SECONDS:
            self._send(signal.SIGKILL)

    def wait(self, on_demand: Optional[OnDemand]) -> None:
        """Wait for the process, which closed its streams and may go on, and ask."""
        while self._process.poll() is None:
            try:
                self._process.wait(_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                _begin(on_demand)
            self.check()
        if self._sent is signal.SIGTERM and self._since is not None:
            self._end_the_rest(self._since + STOP_GRACE_SECONDS + KILL_GRACE_SECONDS)

    def _end_the_rest(self, deadline: float) -> None:
        """The shell obeyed; what it started may not, and has the same time to."""
        while time.monotonic() < deadline and _signal(self._process, 0):
            time.sleep(_POLL_SECONDS)
        _signal(self._process, signal.SIGKILL)

    def _send(self, which: signal.Signals) -> None:
        self._sent = which
        _signal(self._process, which)


def _signal(process: subprocess.Popen[bytes], which: int) -> bool:
    """Signal the process's group, which it leads, being started in a session of its own; False if nobody is left."""
    try:
        os.killpg(process.pid, which)
    except ProcessLookupError:
        return False
    return True
