"""The shipper of logs and property changes: what a batch says by itself, since batches may be merged in any order."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, cast

import pytest

from outrider.agent import updates
from outrider.agent.folder import AttemptFolder
from outrider.agent.updates import UpdateShipper
from outrider.messaging.codec import decode
from outrider.messaging.messages import OperationUpdate
from outrider.messaging.transport import Confirmation, Outgoing, Transport
from tests.support.agents import AGENT_ID, make_task
from tests.support.waiting import wait_until

TASK = make_task("nothing")


class Broker:
    """Keeps what is published, and confirms it."""

    connected = True

    def __init__(self, *, largest: int = 1 << 30) -> None:
        self.batches: list[OperationUpdate] = []
        self.refused = 0
        self._largest = largest

    def publish(self, message: Outgoing) -> Future[Confirmation]:
        future: Future[Confirmation] = Future()
        if len(message.body) > self._largest:
            self.refused += 1
            future.set_result(Confirmation.TOO_LARGE)
        else:
            self.batches.append(cast("OperationUpdate", decode(message.body)))
            future.set_result(Confirmation.CONFIRMED)
        return future

    def changes(self, batch: int) -> list[int]:
        return [change.sequence for change in self.batches[batch].properties]


@contextlib.contextmanager
def shipping(broker: Broker, folder: AttemptFolder) -> Iterator[UpdateShipper]:
    shipper = UpdateShipper(AGENT_ID, cast("Transport", broker), lambda _id: None, interval_seconds=0.01)
    shipper.start()
    shipper.watch(TASK, folder, confirmed=folder.shipped())
    try:
        yield shipper
    finally:
        shipper.close()


def write(folder: AttemptFolder, sequence: int, kind: str = "property", *, size: int = 1) -> None:
    record: dict[str, Any] = {"sequence": sequence, "kind": kind}
    if kind == "property":
        record |= {"instance": "web_1", "set": {f"key-{sequence}": "x" * size}}
        record |= {"delete": [], "base_version": 1, "replace": False}
    else:
        record |= {"time": 0.0, "level": "info", "logger": "plugin", "message": "hello"}
    with folder.updates.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def shipped(broker: Broker, folder: AttemptFolder, sequence: int, count: int) -> None:
    wait_until(lambda: len(broker.batches) == count, describe=f"batch {count}")
    wait_until(lambda: folder.shipped().sequence == sequence, describe="its confirmation")


@pytest.fixture
def folder(tmp_path: Path) -> AttemptFolder:
    made = AttemptFolder(tmp_path / "attempt")
    made.create()
    return made


def test_a_batch_with_changes_brings_those_that_went_before_and_one_with_logs_alone_does_not(
    folder: AttemptFolder,
) -> None:
    broker = Broker()
    with shipping(broker, folder):
        write(folder, 1)
        shipped(broker, folder, 1, 1)
        write(folder, 2, "log")
        shipped(broker, folder, 2, 2)
        write(folder, 3)
        shipped(broker, folder, 3, 3)
    assert [broker.changes(each) for each in range(3)] == [[1], [], [1, 3]]
    # An agent that was started anew does not know what its predecessor sent, but for the file.
    with shipping(broker, folder):
        write(folder, 4)
        shipped(broker, folder, 4, 4)
    assert broker.changes(3) == [1, 3, 4]


def test_large_changes_are_repeated_as_far_as_there_is_room(
    folder: AttemptFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updates, "_REPEATED_BYTES", 1000)
    broker = Broker()
    with shipping(broker, folder):
        for sequence in (1, 2, 3):
            write(folder, sequence, size=600)
            shipped(broker, folder, sequence, sequence)
    assert [broker.changes(each) for each in range(3)] == [[1], [1, 2], [2, 3]]


def test_a_batch_that_the_broker_finds_too_large_is_sent_in_parts(folder: AttemptFolder) -> None:
    broker = Broker(largest=3000)
    for sequence in range(1, 21):
        write(folder, sequence, size=600)
    with shipping(broker, folder):
        wait_until(lambda: folder.shipped().sequence == 20, describe="the confirmation of all records")
    assert broker.refused
    assert {change.sequence for batch in broker.batches for change in batch.properties} == set(range(1, 21))
    assert not any(batch.logs for batch in broker.batches)


def test_a_record_that_the_broker_finds_too_large_is_named_and_those_around_it_arrive(
    folder: AttemptFolder,
) -> None:
    broker = Broker(largest=3000)
    write(folder, 1)
    write(folder, 2, size=5000)
    write(folder, 3)
    write(folder, 4, "log")
    complete = threading.Event()
    shipper = UpdateShipper(AGENT_ID, cast("Transport", broker), lambda _id: complete.set(), interval_seconds=0.01)
    shipper.start()
    shipper.watch(TASK, folder)
    shipper.finish(TASK.attempt_id, 4)
    assert complete.wait(30)
    shipper.close()
    assert {change.sequence for batch in broker.batches for change in batch.properties} == {1, 3}
    told = {log.sequence: log.message for batch in broker.batches for log in batch.logs}
    assert sorted(told) == [2, 4]
    assert "(property) is larger than the broker's max_message_size" in told[2]


def test_what_an_operation_writes_and_ends_with_while_its_file_is_looked_at_is_not_missed(
    folder: AttemptFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, read, looked = Broker(), updates.read_records, threading.Event()

    def be_overtaken(*arguments: Any, **limits: Any) -> tuple[list[dict[str, Any]], int]:
        found = read(*arguments, **limits)
        if not looked.is_set():
            looked.set()
            write(folder, 1, "log")
            shipper.finish(TASK.attempt_id, 1)
        return found

    with shipping(broker, folder) as shipper:
        monkeypatch.setattr(updates, "read_records", be_overtaken)
        wait_until(lambda: shipper.empty and looked.is_set(), describe="the end of its records")
    assert [[line.sequence for line in each.logs] for each in broker.batches] == [[1]]


def test_records_that_cannot_be_read_for_want_of_descriptors_wait_and_foreign_ones_hold_up_nobody(
    folder: AttemptFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, read, failed = Broker(), updates.read_records, threading.Event()

    def fail_once(*arguments: Any, **limits: Any) -> tuple[list[dict[str, Any]], int]:
        if not failed.is_set():
            failed.set()
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return read(*arguments, **limits)

    monkeypatch.setattr(updates, "_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(updates, "read_records", fail_once)
    foreign = AttemptFolder(folder.path.with_name("foreign"))
    foreign.create()
    foreign.updates.write_text("1\n", encoding="ascii")
    write(folder, 1, "log")
    with shipping(broker, folder) as shipper:
        shipper.finish(TASK.attempt_id, 1)
        wait_until(lambda: shipper.empty and failed.is_set(), describe="the end of its records")
        shipper.watch(dataclasses.replace(TASK, attempt_id="foreign"), foreign)
        shipper.finish("foreign", 1)
        wait_until(lambda: shipper.empty, describe="the end of the foreign ones")
    assert [[line.sequence for line in each.logs] for each in broker.batches] == [[1]]
