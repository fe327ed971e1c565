"""A result leaves the agent's hands once the broker and the journal both have it, whichever is first."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from outrider.agent import journal as journaling
from outrider.agent import outbox
from outrider.agent.journal import Journal, State
from outrider.agent.outbox import ResultOutbox
from outrider.messaging.codec import decode, encode
from outrider.messaging.messages import OperationResult, Verdict
from outrider.messaging.transport import Confirmation, Outgoing
from tests.support.waiting import wait_until

IDENTITY = {"pid": 1, "start_ticks": 2, "boot_id": "b"}


class SlowBroker:
    """Takes messages, and confirms them when it is told to."""

    connected = True

    def __init__(self) -> None:
        self.published: list[Future[Confirmation]] = []
        self.messages: list[bytes] = []

    def publish(self, message: Outgoing) -> Future[Confirmation]:
        future: Future[Confirmation] = Future()
        self.published.append(future)
        self.messages.append(message.body)
        return future

    def confirm(self) -> None:
        self.published[-1].set_result(Confirmation.CONFIRMED)


class Desk:
    """An outbox between a broker and a journal, with one attempt that was started."""

    def __init__(self, folder: Path) -> None:
        self.broker: Any = SlowBroker()
        self.journal = Journal(folder / "journal.db", machine="m")
        self.done: list[str] = []
        self.outbox = ResultOutbox("agent", self.broker, self.journal, self.done.append)
        self.journal.call(journaling.start("task.1", b"task", IDENTITY))

    def send_ahead(self) -> Callable[[], None]:
        """Send the result before the journal has it; return what gives it to the journal."""
        self.outbox.expect_ahead("task.1")
        self.outbox.send("task.1", b"result")

        def give() -> None:
            self.journal.call(journaling.finish("task.1", "succeeded", b"result"))
            self.outbox.journaled("task.1")

        return give

    def state(self) -> State:
        entry = self.journal.entry("task.1")
        assert entry is not None
        return entry.state


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.journal.close()


def test_a_result_that_is_confirmed_before_it_is_journaled_is_done_only_then(desk: Desk) -> None:
    give = desk.send_ahead()
    desk.broker.confirm()
    assert (desk.state(), desk.done, desk.outbox.empty) == (State.STARTING, [], True)
    give()
    wait_until(lambda: desk.done == ["task.1"], 10.0, "the attempt to be done")
    assert desk.state() is State.DONE


def test_a_result_that_is_journaled_before_it_is_confirmed_is_done_only_then(desk: Desk) -> None:
    desk.send_ahead()()
    assert (desk.state(), desk.done, desk.outbox.empty) == (State.FINISHED, [], False)
    desk.broker.confirm()
    wait_until(lambda: desk.done == ["task.1"], 10.0, "the attempt to be done")
    assert desk.state() is State.DONE


def test_a_result_that_cannot_be_journaled_is_sent_all_the_same_and_done_once_the_journal_can(desk: Desk) -> None:
    record, tries = journaling.finish("task.1", "succeeded", b"result"), []

    def refuse_first(connection: sqlite3.Connection) -> None:
        tries.append(connection)
        if len(tries) == 1:
            raise sqlite3.OperationalError("database or disk is full")
        record(connection)

    desk.send_ahead()
    desk.outbox.journal_later("task.1", refuse_first)
    desk.broker.confirm()
    desk.outbox.send_again()
    wait_until(lambda: tries and desk.outbox._unjournaled, 10.0, "the refusal")
    assert (desk.state(), desk.done) == (State.STARTING, [])
    desk.outbox.send_again()
    wait_until(lambda: desk.done == ["task.1"], 10.0, "the attempt to be done")
    assert desk.state() is State.DONE


def test_a_result_that_the_broker_finds_too_large_becomes_a_failure_that_says_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_RETRY_SECONDS", 0.0)
    result = OperationResult("task.1", "task", "run", "agent", "token", Verdict.SUCCEEDED, value="x" * 1000)
    body = encode(result)
    desk.journal.call(journaling.finish("task.1", "succeeded", body))
    desk.outbox.send("task.1", body)
    desk.broker.published[-1].set_result(Confirmation.TOO_LARGE)
    desk.outbox.send_again()
    sent = decode(desk.broker.messages[-1])
    assert isinstance(sent, OperationResult)
    assert (sent.attempt_id, sent.token, sent.verdict, sent.value) == ("task.1", "token", Verdict.FAILED, None)
    assert sent.error is not None
    assert sent.error.type == "ResultTooLarge"
    assert f"{len(body)} bytes (return value 1002 bytes" in sent.error.message
    desk.broker.confirm()
    wait_until(lambda: desk.done == ["task.1"], 10.0, "the attempt to be done")
