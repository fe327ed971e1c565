"""A program under test as a process of its own: killed, paused and woken by its own id; its log is kept in a file."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil


class ServiceProcess:
    """One service; may be started again after its end, with the same log."""

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        self._command, self._environment = list(command), dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        assert not self.running, f"it runs already; its log is {self.log}"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """End it at once, also when it is paused."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stop it in its tracks; its sockets stay open, as those of a machine that swaps or is suspended."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def terminate(self) -> None:
        """Ask it to end, and wait; one that does not is killed, and that is a failure."""
        if not self.running:
            return
        self.wake()
        try:
            self._end(signal.SIGTERM)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not end at SIGTERM: {self._command}; its log is {self.log}") from None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "it was not started"
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None, "it was not started"
        self._process.send_signal(number)
        self._process.wait(timeout=60)


def processes_naming(text: str) -> list[psutil.Process]:
    """Return the processes that have a text in their command line."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(text in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found
