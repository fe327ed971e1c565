"""The agent's wait for an operation's end: whatever ends it is noticed at once, and what was said last is heard."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from outrider.agent import ending
from outrider.agent.ending import Deadline, Interrupted, await_end
from outrider.agent.runner import processes, protocol
from outrider.agent.runner.tree import Tree

UNLIMITED = Deadline(0.0, None, slack_seconds=0.0)


class Child:
    """A forked process that has the other end of the connection, and does nothing until it is told to end."""

    def __init__(self) -> None:
        self.connection, theirs = socket.socketpair()
        self._told, self._tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.read(self._told, 1)
            os._exit(0)
        #: Its own end, as a process that outlived it would have it.
        self.theirs = theirs
        identity = {
            "pid": self.pid, "start_ticks": processes.start_ticks(self.pid), "boot_id": processes.boot_id(),
            "group": None,
        }  # fmt: skip
        self.tree = Tree.of("task.1", identity)
        self._waited = False

    def end(self, *, connection: bool = True) -> None:
        """End it, and wait for it; `connection`: nobody else has its end."""
        os.write(self._tell, b"x")
        os.waitpid(self.pid, 0)
        self._waited = True
        if connection:
            self.theirs.close()

    def close(self) -> None:
        if not self._waited:
            self.end()
        self.connection.close()
        self.theirs.close()
        os.close(self._told)
        os.close(self._tell)


@pytest.fixture
def child() -> Iterator[Child]:
    made = Child()
    yield made
    made.close()


@pytest.fixture
def interrupt() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for each in ends:
        os.close(each)


@pytest.mark.parametrize("soon", [0, 60_000])
def test_what_the_child_said_before_it_died_is_heard(
    child: Child, interrupt: tuple[int, int], monkeypatch: pytest.MonkeyPatch, soon: int
) -> None:
    monkeypatch.setattr(ending, "_SOON_MILLISECONDS", soon)
    protocol.send_frame(child.theirs, {"lingering": False, "result": {"verdict": "succeeded"}})
    child.end()
    assert await_end(child.tree, child.connection, UNLIMITED, interrupt[0]) == {"verdict": "succeeded"}


@pytest.mark.parametrize("soon", [0, 60_000])
def test_a_child_that_died_in_silence_is_not_waited_for(
    child: Child, interrupt: tuple[int, int], monkeypatch: pytest.MonkeyPatch, soon: int
) -> None:
    monkeypatch.setattr(ending, "_SOON_MILLISECONDS", soon)
    # It must be seen without waiting for the next look.
    monkeypatch.setattr(ending, "_LOOK_SECONDS", 60.0)
    child.end()
    began = time.monotonic()
    assert await_end(child.tree, child.connection, UNLIMITED, interrupt[0]) is None
    assert time.monotonic() - began < 30.0


def test_a_child_that_died_while_another_process_holds_its_connection_is_not_waited_for(
    child: Child, interrupt: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "_LOOK_SECONDS", 60.0)
    child.end(connection=False)
    began = time.monotonic()
    assert await_end(child.tree, child.connection, UNLIMITED, interrupt[0]) is None
    assert time.monotonic() - began < 30.0


@pytest.mark.parametrize("soon", [0, 60_000])
def test_the_agent_s_own_end_ends_the_wait(
    child: Child, interrupt: tuple[int, int], monkeypatch: pytest.MonkeyPatch, soon: int
) -> None:
    monkeypatch.setattr(ending, "_SOON_MILLISECONDS", soon)
    stop = threading.Timer(0.01, os.write, (interrupt[1], b"x"))
    stop.start()
    with pytest.raises(Interrupted):
        await_end(child.tree, child.connection, UNLIMITED, interrupt[0])
    stop.join()


def test_a_deadline_that_is_over_ends_the_wait_for_a_child_that_lives(child: Child, interrupt: tuple[int, int]) -> None:
    over = Deadline(0.0, 0.0, slack_seconds=0.0)
    assert await_end(child.tree, child.connection, over, interrupt[0]) is None
    assert processes.start_ticks(child.pid) != 0
