"""A child as the runner sees it: which attempt it runs, until when, and what to say if it dies without a result."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Collection
from typing import Any, Optional

from outrider.agent.runner import processes
from outrider.agent.runner.capture import Capture
from outrider.agent.runner.cgroups import Group
from outrider.agent.runner.config import RunnerConfig
from outrider.agent.runner.protocol import RESULT_NAME, write_aside
from outrider.agent.runner.tree import PROOF_NONE, PROOF_SUBREAPER, Tree

_END_AGAIN_SECONDS = 1.0


class Supervised:
    """One child, waiting (no attempt yet) or running."""

    def __init__(self, pid: int, control: socket.socket, out: Capture, err: Capture, group: Optional[Group]) -> None:
        self.pid = pid
        self.control = control
        self.group = group
        self.captures = [out, err]
        self.attempt_id: Optional[str] = None
        #: When something has to be done about it, by the monotonic clock.
        self.due: Optional[float] = None
        #: Whether the agent has the result though the child could not write it.
        self.told = False
        self._out, self._err = out, err
        self._start_ticks = processes.start_ticks(pid)
        self._buffer = b""
        self._directory = ""
        self._timeout_seconds = 0.0
        self._timed_out = False
        self._proof: Optional[str] = None

    def read_control(self) -> Optional[list[dict[str, Any]]]:
        """Return what the child said since the last call; None if it can say nothing any more."""
        if self.control.fileno() < 0:
            return None
        messages: list[dict[str, Any]] = []
        while True:
            try:
                data = self.control.recv(65536)
            except BlockingIOError:
                return messages
            except OSError:
                return messages or None
            if not data:
                return messages or None
            *lines, self._buffer = (self._buffer + data).split(b"\n")
            messages.extend(json.loads(line) for line in lines)

    def begin(self, message: dict[str, Any]) -> None:
        """Take note of the attempt that the child is about to run."""
        self.attempt_id = str(message["attempt_id"])
        self._directory = str(message["directory"])
        self._out.open(f"{self._directory}/stdout")
        self._err.open(f"{self._directory}/stderr")
        timeout = message.get("timeout_seconds")
        if timeout is not None:
            self._timeout_seconds = float(timeout)
            self.due = time.monotonic() + self._timeout_seconds

    def enforce(self, *, grace_seconds: float) -> None:
        """The timeout, or the grace after it, is over: ask first, then end the tree.

        Raises `OSError` if it is not known what there is to end; it is done again then.
        """
        if not self._timed_out:
            self._timed_out = True
            self.due = time.monotonic() + grace_seconds
            for process in self._tree().members():
                processes.kill(process, signal.SIGTERM)
            return
        self.due = time.monotonic() + _END_AGAIN_SECONDS
        self._proof = self._tree().end(grace_seconds=0)
        self.due = None

    def judge(
        self, status: int, cpu_seconds: float, peak_memory_bytes: int, *, config: RunnerConfig, known: Collection[int]
    ) -> None:
        """The child has ended: write the result if it did not, and end what it left behind then.

        `known`: the runner's other children.
        """
        if self.told or os.path.exists(f"{self._directory}/{RESULT_NAME}") or not os.path.exists(self._directory):  # noqa: PTH110 - on every operation's way
            # Without the folder the agent has reported the attempt already: it had the result from the child itself.
            return
        try:
            proof = self._proof or self._prove_empty(known)
        except OSError as error:
            print(f"attempt {self.attempt_id}: what it left is not known: {error}", file=sys.stderr)  # noqa: T201 - the runner's log
            proof = PROOF_NONE
        outcome = {
            "attempt_id": self.attempt_id,
            "verdict": self._verdict(proof),
            "value": None,
            "error": self._error(status, config),
            "usage": {"cpu_seconds": cpu_seconds, "peak_memory_bytes": self._peak(peak_memory_bytes)},
            "proof": proof,
            "died": True,
        }
        try:
            write_aside(f"{self._directory}/{RESULT_NAME}", json.dumps(outcome).encode(), durable=True)
        except OSError as error:
            # A full disk: the agent judges by what it finds, and says that the result is lost.
            print(f"the verdict on attempt {self.attempt_id} cannot be written: {error}", file=sys.stderr)  # noqa: T201 - the runner's log

    def _prove_empty(self, known: Collection[int]) -> str:
        proof = self._tree().end(grace_seconds=0)
        if proof == PROOF_NONE and self.group is None:
            # Orphans of this runner's operations become its own children. If there is none, nothing is left.
            own = os.getpid()
            strangers = [p for p in processes.everything() if p.parent == own and p.pid not in known and p.state != "Z"]
            return PROOF_NONE if strangers else PROOF_SUBREAPER
        return proof

    def _verdict(self, proof: str) -> str:
        if not self._timed_out:
            return "failed"
        return "timed_out" if proof != PROOF_NONE else "not_confirmed"

    def _error(self, status: int, config: RunnerConfig) -> dict[str, Any]:
        kind, text = self._reason(status, config)
        return {"type": kind, "message": text, "traceback": "", "causes": [], "recoverable": False}

    def _reason(self, status: int, config: RunnerConfig) -> tuple[str, str]:
        if self._timed_out:
            return "OperationTimedOut", f"the operation did not end within {self._timeout_seconds:g} s and was stopped"
        if self.group is not None and self.group.killed_for_memory():
            limit = (config.memory_limit_bytes or 0) / 2**20
            return "MemoryLimitExceeded", (
                f"the operation used more than {limit:g} MiB of memory and was killed; "
                "the agent's setting memory_limit_mib is the limit"
            )
        if os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            return "OperationDied", f"the operation's process was killed by {name} before it returned"
        code = os.WEXITSTATUS(status)
        return "OperationDied", (
            f"the operation's process ended with exit status {code} before it returned: "
            "it, or a library that it uses, ended the process"
        )

    def _peak(self, peak_memory_bytes: int) -> int:
        return (self.group.peak_memory_bytes() if self.group is not None else None) or peak_memory_bytes

    def _tree(self) -> Tree:
        return Tree(str(self.attempt_id), self.pid, self._start_ticks, self.group)
