"""The journal's transitions: what may be started, once, and what a cancel prevents."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from outrider.agent import journal as journaling
from outrider.agent.errors import JournalError
from outrider.agent.journal import Journal, State
from tests.support.waiting import wait_until

IDENTITY = {"pid": 1, "start_ticks": 2, "boot_id": "b"}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "journal.db", machine="m")
    yield made
    made.close()


def test_an_attempt_is_accepted_once(journal: Journal) -> None:
    assert journal.call(journaling.accept("a", b"task")) is None
    known = journal.call(journaling.accept("a", b"task"))
    assert known is not None
    assert (known.state, known.task) == (State.ACCEPTED, b"task")


def test_an_attempt_is_started_once(journal: Journal) -> None:
    assert journal.call(journaling.start("a", b"task", IDENTITY)) is None
    known = journal.call(journaling.start("a", b"task", IDENTITY))
    assert known is not None
    assert (known.state, known.identity) == (State.STARTING, IDENTITY)


def test_two_attempts_of_a_task_are_never_started_beside_each_other(journal: Journal) -> None:
    assert journal.call(journaling.start("task.2", b"task", IDENTITY)) is None
    beside = journal.call(journaling.start("task.3", b"task", IDENTITY))
    assert beside is not None
    assert beside.attempt_id == "task.2"
    assert journal.call(journaling.start("task.3", b"task", IDENTITY, over={"task.2"})) is None
    assert journal.call(journaling.start("task", b"task", IDENTITY)) is None
    assert journal.call(journaling.start("tasks.1", b"task", IDENTITY)) is None
    assert [each.attempt_id for each in journal.of_task("task.10")] == ["task.2", "task.3"]


def test_an_older_attempt_is_not_started_once_a_newer_one_is_here(journal: Journal) -> None:
    journal.call(journaling.accept("task.3", b"task"))
    newer = journal.call(journaling.start("task.2", b"task", IDENTITY))
    assert newer is not None
    assert newer.attempt_id == "task.3"
    journal.call(journaling.cancel("task.4"))
    assert journal.call(journaling.start("task.3", b"task", IDENTITY)) is None


def test_a_cancel_before_the_start_forbids_it(journal: Journal) -> None:
    journal.call(journaling.accept("a", b"task"))
    known = journal.call(journaling.cancel("a"))
    assert known is not None
    assert known.state is State.ACCEPTED
    forbidden = journal.call(journaling.start("a", b"task", IDENTITY))
    assert forbidden is not None
    assert forbidden.cancelled


def test_a_cancel_of_an_unseen_attempt_leaves_a_tombstone(journal: Journal) -> None:
    assert journal.call(journaling.cancel("a")) is None
    forbidden = journal.call(journaling.start("a", b"task", IDENTITY))
    assert forbidden is not None
    assert forbidden.state is State.TOMBSTONE


def test_a_start_can_be_taken_back_unless_it_was_cancelled(journal: Journal) -> None:
    journal.call(journaling.start("a", b"task", IDENTITY))
    assert journal.call(journaling.not_started("a"))
    journal.call(journaling.start("a", b"task", IDENTITY))
    journal.call(journaling.cancel("a"))
    assert not journal.call(journaling.not_started("a"))


def test_the_first_result_stays(journal: Journal) -> None:
    journal.call(journaling.start("a", b"task", IDENTITY))
    assert journal.call(journaling.finish("a", "succeeded", b"first"))
    assert not journal.call(journaling.finish("a", "failed", b"second"))
    entry = journal.entry("a")
    assert entry is not None
    assert (entry.state, entry.verdict, entry.result) == (State.FINISHED, "succeeded", b"first")


def test_what_is_done_keeps_a_small_result_and_no_task(journal: Journal) -> None:
    for name, result in (("small", b"x"), ("large", b"x" * 70_000)):
        journal.call(journaling.start(name, b"task", IDENTITY))
        journal.call(journaling.finish(name, "succeeded", result))
        journal.call(journaling.done(name))
    small, large = journal.entry("small"), journal.entry("large")
    assert small is not None
    assert large is not None
    assert (small.task, small.result, large.result) == (None, b"x", None)
    assert journal.unfinished() == []


def test_deaths_are_counted_for_what_was_being_prepared(journal: Journal) -> None:
    journal.call(journaling.accept("a", b"task", preparing=True))
    journal.call(journaling.accept("b", b"task"))
    journal.count_deaths()
    journal.count_deaths()
    assert [(entry.attempt_id, entry.deaths) for entry in journal.unfinished()] == [("a", 1), ("b", 0)]


def test_an_orderly_stop_counts_no_death(journal: Journal) -> None:
    journal.call(journaling.accept("a", b"task", preparing=True))
    journal.forgive()
    journal.count_deaths()
    assert journal.unfinished()[0].deaths == 0


def test_everything_outlives_the_process_and_the_sequence_rises(tmp_path: Path) -> None:
    first = Journal(tmp_path / "journal.db", machine="m")
    first.call(journaling.accept("a", b"task"))
    epoch, sequence = first.epoch, first.sequence
    first.close()
    second = Journal(tmp_path / "journal.db", machine="m")
    assert [entry.attempt_id for entry in second.unfinished()] == ["a"]
    assert (second.epoch, second.sequence > sequence) == (epoch, True)
    second.close()


def test_another_machine_begins_a_new_epoch(tmp_path: Path) -> None:
    first = Journal(tmp_path / "journal.db", machine="m")
    second_epoch = first.epoch
    first.close()
    second = Journal(tmp_path / "journal.db", machine="n")
    assert second.epoch != second_epoch
    second.close()


def test_old_attempts_are_forgotten(journal: Journal) -> None:
    journal.call(journaling.start("a", b"task", IDENTITY))
    journal.call(journaling.finish("a", "succeeded", b"x"))
    journal.call(journaling.done("a"))
    journal.prune(older_than_seconds=3600)
    assert journal.entry("a") is not None
    journal.prune(older_than_seconds=-1)
    assert journal.entry("a") is None


@pytest.mark.parametrize("asleep", [False, True])
def test_a_patient_job_is_committed_soon_though_nothing_else_comes(journal: Journal, *, asleep: bool) -> None:
    journal.call(journaling.finish("a", "succeeded", b"result"))
    if asleep:
        wait_until(lambda: journal._asleep, 5.0, "the writer's sleep")
    done = threading.Event()
    journal.submit_patiently(journaling.done("a"), lambda _value, _error: done.set())
    assert done.wait(5.0)
    entry = journal.entry("a")
    assert entry is not None
    assert entry.state is State.DONE


def test_a_patient_job_is_committed_before_a_question_that_comes_after_it(journal: Journal) -> None:
    journal.call(journaling.finish("task.1", "failed", b"result"))
    journal.submit_patiently(journaling.done("task.1"), lambda _value, _error: None)
    assert [each.state for each in journal.of_task("task.2")] == [State.DONE]


def test_a_patient_job_is_committed_before_the_journal_closes(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", machine="m")
    journal.call(journaling.finish("a", "succeeded", b"result"))
    done = threading.Event()
    journal.submit_patiently(journaling.done("a"), lambda _value, _error: done.set())
    journal.close()
    assert done.is_set()


def test_neither_a_defect_nor_who_fails_to_hear_of_it_ends_the_writer(journal: Journal) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("can't start new thread")

    journal.submit(lambda _connection: None, fail)
    assert journal.writable()
    with pytest.raises(JournalError, match="can't start new thread"):
        journal.call(fail)
    assert journal.writable()


def test_who_waits_for_a_disk_that_does_not_answer_is_told_so(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    monkeypatch.setattr(journaling, "_CALL_SECONDS", 0.01)
    try:
        with pytest.raises(JournalError, match=r"was not written within 0\.01 s"):
            journal.call(lambda _connection: gate.wait(60.0))
    finally:
        monkeypatch.undo()
        gate.set()
