"""One attempt in its own process, from its task frame to its result; `child` waits for the frame.

The `started` marker is on the disk before the plugin's code is called: that is the evidence by which the agent later
tells *never started* from *may have run*.

What is done here is done by few functions and classes, and without `logging`, `threading`, `pathlib` and enums: a
forked process copies each page of memory that it touches, and an object is touched when it is used. Modules that ask
to be called after a fork, as the first two do, are among the most expensive parts of a short operation.
"""

from __future__ import annotations

import _thread
import json
import os
import resource
import socket
import sys
import time
from signal import SIGKILL
from typing import Any, NamedTuple, Optional

from outrider.agent.runner import processes, signals
from outrider.agent.runner.capture import unread_bytes
from outrider.agent.runner.cgroups import Group
from outrider.agent.runner.channel import FileChannel
from outrider.agent.runner.config import RunnerConfig
from outrider.agent.runner.orphaned import OwnOutput
from outrider.agent.runner.protocol import MARKER, RESULT_NAME, STARTED_NAME, send_body, write_aside, write_new
from outrider.plugins.sdk.execute import NEVER_STARTED, execute

_FLUSH_SECONDS = 5.0
_END_SECONDS = 5.0
#: Exit statuses, for whoever reads the runner's log.
EXIT_ENDED, EXIT_STOPPED = 0, 143


class Place(NamedTuple):
    """What the runner prepared for a child before it waits."""

    config: RunnerConfig
    listener: socket.socket
    #: To the runner: which attempt this child runs; and back: that its output is drained.
    control: socket.socket
    group: Optional[Group]
    #: The reading ends of its own standard output and error (see `orphaned`).
    pipes: tuple[int, int]
    #: What the agent journals of it before it says *go*, but for its pid and start time.
    introduction: dict[str, Any]


class _Stopped(BaseException):
    """SIGTERM arrived: lets an operation's `finally` clauses run. Not an `Exception`, so that handlers let it pass."""


class _Stop:
    """Turns SIGTERM into an exception while the operation runs, and into nothing while its result is written."""

    def __init__(self) -> None:
        self.requested = False
        self._may_raise = False

    def arm(self) -> None:
        signals.handle(signals.TERMINATE, self._on_signal)
        self._may_raise = True

    def disarm(self) -> None:
        self._may_raise = False

    def _on_signal(self, _signal: int, _frame: object) -> None:
        self.requested = True
        if self._may_raise:
            raise _Stopped


class Operation:
    """One attempt, from its task frame to its result."""

    def __init__(self, place: Place, connection: socket.socket, request: dict[str, Any], identity: bytes) -> None:
        self._place = place
        self._identity = identity
        self._connection = connection
        self._attempt_id = str(request["attempt_id"])
        #: Text, not a `Path`: on every operation's way, and each new page of memory that it touches is copied.
        self._directory = str(request["directory"])
        # The task as the dispatcher sent it, or as JSON with its secrets filled in.
        self._task: dict[str, Any] = request["task"] if "task" in request else json.loads(request["envelope"])["body"]
        self._environment: dict[str, str] = request.get("environment") or {}
        self._stop = _Stop()
        #: What this process has computed before, while it waited.
        self._computed, _ = _usage()
        self._output = OwnOutput(
            place.control, place.pipes, self._directory, limit_bytes=place.config.output_limit_bytes
        )

    def run(self) -> int:
        """Run the operation; returns the exit status."""
        self._announce()
        self._prepare_process()
        self._output.watch()
        began = time.monotonic()
        channel = FileChannel(
            self._directory,
            self._task,
            limit_bytes=self._place.config.updates_limit_bytes,
            resources_folder=self._place.config.resources_folder,
        )
        try:
            # Who it is, for an agent whose journal does not know it any more.
            write_new(f"{self._directory}/{STARTED_NAME}", self._identity)
        except OSError as error:
            outcome = self._refuse(error)
        else:
            outcome = self._execute(channel)
        self._stop.disarm()
        if outcome["verdict"] == "failed":
            # What a failed operation left behind would run beside the next try.
            end_survivors(self._place.group)
            if self._stop.requested:
                # Whoever stopped it knows why, and writes the result.
                return EXIT_STOPPED
        self._finish(outcome, channel, run_seconds=time.monotonic() - began)
        return EXIT_ENDED

    def _announce(self) -> None:
        """Tell the runner what it has to supervise; it never sees the task itself."""
        message = {
            "pid": os.getpid(),
            "attempt_id": self._attempt_id,
            "timeout_seconds": self._task.get("timeout_seconds"),
            "directory": self._directory,
            "module": str(self._task["operation"]).rpartition(".")[0],
        }
        self._tell_runner(message)

    def _tell_runner(self, message: dict[str, Any]) -> None:
        try:
            self._place.control.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            # The runner is gone; `OwnOutput` finds that out.
            return

    def _prepare_process(self) -> None:
        os.chdir(self._directory)
        for name, value in self._environment.items():
            os.environ[name] = value
        os.environ[MARKER] = self._attempt_id
        if self._place.group is None or self._place.group.memory is None:
            _limit_address_space(self._place.config.memory_limit_bytes)

    def _refuse(self, error: OSError) -> dict[str, Any]:
        """Return the outcome of an operation that is not called, because nobody would know later that it was."""
        text = f"it was not called, for its folder {self._directory} cannot be written: {error}"
        described = {"type": "FolderNotWritable", "message": text, "recoverable": True}
        return {"verdict": NEVER_STARTED, "value": None, "proof": NEVER_STARTED, "error": described}

    def _execute(self, channel: FileChannel) -> dict[str, Any]:
        try:
            self._stop.arm()
            return execute(self._task, channel)
        except _Stopped:
            return {"verdict": "failed", "value": None, "error": None}
        finally:
            self._stop.disarm()

    def _finish(self, outcome: dict[str, Any], channel: FileChannel, *, run_seconds: float) -> None:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                # Full, or closed by the operation.
                continue
        channel.close()
        self._flush_output()
        computed, peak_memory_bytes = _usage()
        outcome.update(
            attempt_id=self._attempt_id,
            properties=channel.properties,
            last_sequence=channel.last_sequence,
            run_seconds=run_seconds,
            usage={"cpu_seconds": round(computed - self._computed, 6), "peak_memory_bytes": peak_memory_bytes},
        )
        body = json.dumps(outcome).encode()
        # Not forced to the disk: the agent's journal makes it durable, and tells a power cut before that from an
        # operation that never ran. Without an agent, it is forced below.
        result_path = f"{self._directory}/{RESULT_NAME}"
        kept = True
        try:
            write_aside(result_path, body, durable=False)
        except OSError:
            # A full disk: the agent has it all the same, if there is one.
            kept = False
        # Threads of the operation live until this process ends, so the agent waits for that.
        lingering = _thread._count() > 0  # noqa: SLF001 - `threading`, which need not be loaded, would ask this too
        try:
            send_body(self._connection, b'{"lingering":%s,"result":%s}' % (b"true" if lingering else b"false", body))
        except OSError:
            write_aside(result_path, body, durable=True)
        else:
            if not kept:
                self._tell_runner({"told": True})

    def _flush_output(self) -> None:
        """Wait until the runner has drained what was printed, so that the result's tail is complete."""
        if not self._printed(1, "stdout") and not self._printed(2, "stderr"):
            return
        if self._output.orphaned:
            self._output.settle(_FLUSH_SECONDS)
            return
        try:
            self._place.control.settimeout(_FLUSH_SECONDS)
            self._place.control.sendall(b'{"flush":true}\n')
            self._place.control.recv(1)
        except OSError:
            # The runner has just died, or drains something endless: what is in the files has to do.
            return

    def _printed(self, descriptor: int, name: str) -> bool:
        return bool(unread_bytes(descriptor)) or os.path.exists(f"{self._directory}/{name}")  # noqa: PTH110 - as above


def end_survivors(group: Optional[Group]) -> None:
    """Kill everything that the operation started and that still runs, but not this process."""
    deadline = time.monotonic() + _END_SECONDS
    own = os.getpid()
    while time.monotonic() < deadline:
        try:
            found = _others_in(group) if group is not None else processes.descendants(own)
        except OSError:
            # The operation has used up its descriptors: its result is worth more than to know what it left.
            return
        if not found:
            return
        for process in found:
            processes.kill(process, SIGKILL)
        time.sleep(0.005)


def _others_in(group: Group) -> list[processes.Status]:
    own = os.getpid()
    found = [status for pid in group.pids() if pid != own and (status := processes.status(pid)) is not None]
    return [status for status in found if status.state not in "ZX"]


def _limit_address_space(limit_bytes: Optional[int]) -> None:
    # Without a control group there is only this, coarser, limit: it counts what is mapped, not what is used.
    if limit_bytes is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, hard))


def _usage() -> tuple[float, int]:
    """Return the CPU seconds of this process and those it waited for, and the most memory, in bytes, that one had."""
    own, below = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = own.ru_utime + own.ru_stime + below.ru_utime + below.ru_stime
    return seconds, max(own.ru_maxrss, below.ru_maxrss) * 1024
