"""What an agent does while its host is short of disk space, descriptors or threads, and that it goes on afterwards."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from outrider.agent import journal as journaling
from outrider.agent import questions, worker
from outrider.agent.attempts import Attempts
from outrider.agent.errors import JournalError
from outrider.agent.folder import AttemptFolder
from outrider.agent.heartbeat import Heart
from outrider.agent.journal import Journal, State
from outrider.agent.outbox import ResultOutbox
from outrider.agent.questions import Questions
from outrider.agent.runner import processes, protocol
from outrider.agent.runner.asking import FOLDER, ask
from outrider.agent.runner.tree import Tree
from outrider.messaging.codec import encode
from outrider.messaging.messages import Proof, Verdict
from outrider.plugins.sdk.errors import RequestFailed
from tests.support.agents import SUPPORT, Stage, make_task
from tests.support.waiting import wait_until


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    made = Stage(tmp_path / "state", slots=1)
    made.start_agent()
    yield made
    made.close()


@contextlib.contextmanager
def full_disk(*kept_out: str) -> Iterator[list[str]]:
    """Have journals refuse what these functions make, or everything; yields the names of what was refused."""
    commit = Journal._commit
    refused: list[str] = []

    def refuse(journal: Journal, group: list[Any]) -> None:
        for each in group:
            name = each[0].__qualname__
            if not kept_out or name.startswith(kept_out):
                refused.append(name)
                each[1](None, JournalError("database or disk is full"))
            else:
                commit(journal, [each])

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Journal, "_commit", refuse)
        yield refused


def state_of(stage: Stage, attempt_id: str) -> State | None:
    assert stage.agent is not None
    entry = stage.agent._journal.entry(attempt_id)
    return None if entry is None else entry.state


def test_a_task_whose_start_cannot_be_journaled_goes_back_to_the_queue_and_runs_once_later(
    stage: Stage, tmp_path: Path
) -> None:
    stage.dispatcher.run(make_task("succeed"))
    line = {"path": str(tmp_path / "lines"), "line": "ran"}
    with full_disk() as refused:
        attempt = stage.dispatcher.send(make_task("append_line", inputs=line))
        wait_until(lambda: len([each for each in refused if each.startswith("Journal.writable")]) > 1, 30, "two looks")
        wait_until(lambda: stage.dispatcher.heartbeats[-1].state == "disk-full", 30, "it to be said")
        assert len([each for each in refused if each.startswith("start.")]) == 1
    assert stage.dispatcher.result_of(attempt).verdict is Verdict.SUCCEEDED
    assert (tmp_path / "lines").read_text() == "ran\n"
    assert len(stage.dispatcher.results) == 2


def test_a_disk_that_is_too_full_for_tasks_is_told_at_once_with_the_folder_and_the_setting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = Stage(tmp_path / "state", disk_reserve_mib=2**40)
    try:
        made.start_agent()
        (said,) = [each for each in caplog.records if each.name == "outrider.agent.intake"]
        assert said.levelname == "WARNING"
        assert f"the disk of {tmp_path / 'state'} is full" in said.getMessage()
        assert "disk_reserve_mib" in said.getMessage()
    finally:
        made.close()


def test_the_next_attempt_runs_though_the_end_of_the_one_before_could_not_be_journaled_at_first(stage: Stage) -> None:
    assert stage.agent is not None
    attempts = stage.agent._attempts
    for kept_out, first in (("finish.", State.STARTING), ("done.", State.FINISHED)):
        task = kept_out.rstrip(".")
        with full_disk(kept_out):
            assert stage.dispatcher.run(make_task("fail", attempt_id=f"{task}.1")).verdict is Verdict.FAILED
            assert state_of(stage, f"{task}.1") is first
        wait_until(lambda: not attempts.all(), 30, "the end of the attempt")
        assert state_of(stage, f"{task}.1") is State.DONE
        again = make_task("succeed", attempt_id=f"{task}.2", attempt_number=2, previous_attempt_id=f"{task}.1")
        assert stage.dispatcher.run(again).verdict is Verdict.SUCCEEDED


def test_an_operation_that_the_agent_loses_for_want_of_descriptors_is_reported_and_its_slot_is_free_again(
    stage: Stage, tmp_path: Path
) -> None:
    def fail(*_arguments: Any, **_limits: Any) -> Any:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(worker, "await_end", fail)
        patched.setattr(Tree, "end", fail)
        result = stage.dispatcher.run(make_task("succeed"))
        assert (result.verdict, result.proof) == (Verdict.RESULT_LOST, Proof.NONE)
    assert stage.dispatcher.run(make_task("succeed")).verdict is Verdict.SUCCEEDED


def test_heartbeats_housekeeping_and_cleaning_go_on_after_a_failure(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = []

    def fail_once(owner: type, name: str, error: Exception) -> None:
        real = getattr(owner, name)

        def method(self: Any) -> Any:
            if error not in failed:
                failed.append(error)
                raise error
            return real(self)

        monkeypatch.setattr(owner, name, method)

    fail_once(Heart, "describe", OSError(errno.EMFILE, "no descriptor is left"))
    fail_once(ResultOutbox, "_journal_again", ValueError("a defect"))
    fail_once(AttemptFolder, "remove", RecursionError("a folder in a folder in a folder"))
    first, second = (stage.dispatcher.run(make_task("succeed")).attempt_id for _ in range(2))
    run = stage.settings.state_dir / "run"
    wait_until(lambda: len(failed) == 3 and not (run / second).exists(), 30, "the failures, and the second's end")
    assert (run / first).exists()
    seen = len(stage.dispatcher.heartbeats)
    wait_until(lambda: len(stage.dispatcher.heartbeats) > seen, 30, "another heartbeat")
    names = {thread.name for thread in threading.enumerate()}
    assert {"house", "cleaner", "heartbeat"} <= names


def test_a_heartbeat_is_sent_without_the_load_if_that_cannot_be_read(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Any:
        raise OSError("Load averages are unobtainable")

    assert stage.agent is not None
    monkeypatch.setattr(os, "getloadavg", fail)
    assert stage.agent._heart.describe().load == {}


class ShortOfDescriptors:
    """A listening socket that once finds no descriptor for who calls."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._failed = False

    def accept(self) -> Any:
        if not self._failed:
            self._failed = True
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return self._listener.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listener, name)


class ShortOfThreads(threading.Thread):
    """Cannot be started the first time."""

    failed = False

    def start(self) -> None:
        if self.name.startswith(("question", "beside")) and self.name != "questions" and not ShortOfThreads.failed:
            ShortOfThreads.failed = True
            raise RuntimeError("can't start new thread")
        super().start()


@pytest.mark.parametrize("short_of", ["descriptors", "threads"])
def test_questions_are_answered_after_there_was_nothing_to_answer_them_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short_of: str
) -> None:
    monkeypatch.setattr(questions, "_AGAIN_SECONDS", 0.01)
    if short_of == "descriptors":
        monkeypatch.setattr(questions, "listen", lambda *a, **k: ShortOfDescriptors(protocol.listen(*a, **k)))
    else:
        monkeypatch.setattr(ShortOfThreads, "failed", False)
        monkeypatch.setattr(threading, "Thread", ShortOfThreads)
    made = Questions(tmp_path, Attempts(), cast("Any", None))
    made.start()
    try:
        with pytest.raises(RequestFailed, match="has no such attempt in hand"):
            ask(tmp_path / FOLDER, {"attempt_id": "x", "token": "y"}, timeout_seconds=30)
    finally:
        made.stop()


def test_a_result_that_cannot_be_written_reaches_the_agent_and_what_a_success_left_running_lives_on(
    stage: Stage, tmp_path: Path
) -> None:
    result = stage.dispatcher.run(make_task("daemonise_on_a_full_disk", inputs={"pid_file": str(tmp_path / "pid")}))
    assert (result.verdict, result.value) == (Verdict.SUCCEEDED, "done")
    pid = int((tmp_path / "pid").read_text())
    try:
        # This one's child is begun, and ended, after the runner has judged the one before.
        for _ in range(3):
            stage.dispatcher.run(make_task("succeed"))
        assert processes.alive(pid, processes.start_ticks(pid))
    finally:
        os.kill(pid, signal.SIGKILL)


def test_an_operation_whose_marker_cannot_be_written_is_not_called_and_says_so(stage: Stage, tmp_path: Path) -> None:
    task = make_task("append_line", inputs={"path": str(tmp_path / "lines"), "line": "ran"})
    (stage.settings.state_dir / "run" / task.attempt_id / "started").mkdir(parents=True)
    result = stage.dispatcher.run(task)
    assert result.error is not None
    assert (result.verdict, result.error.type) == (Verdict.NEVER_STARTED, "FolderNotWritable")
    assert not (tmp_path / "lines").exists()


def test_a_workflow_function_for_which_there_is_no_thread_never_started_and_is_not_kept(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stage.agent is not None
    task = make_task("succeed")
    context = dataclasses.replace(task.context, extras={"workflow": {"id": "w"}})
    monkeypatch.setattr(ShortOfThreads, "failed", False)
    monkeypatch.setattr(threading, "Thread", ShortOfThreads)
    result = stage.dispatcher.run(dataclasses.replace(task, context=context))
    assert result.error is not None
    assert (result.verdict, result.error.type) == (Verdict.NEVER_STARTED, "NoThread")
    attempts = stage.agent._attempts
    wait_until(lambda: not attempts.all(), 30, "the end of the attempt")
    assert stage.dispatcher.dead == []
    assert stage.dispatcher.run(make_task("succeed")).verdict is Verdict.SUCCEEDED


def test_the_result_of_an_attempt_that_was_never_accepted_is_sent_after_a_restart_without_a_word_of_damage(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    assert stage.agent is not None
    result = stage.dispatcher.run(make_task("succeed", journal_epoch="another", attempt_id="task.1"))
    assert result.verdict is Verdict.NEVER_STARTED
    journal, body = stage.agent._journal, encode(result)
    journal.call(journaling.finish("task.2", "never_started", body))
    stage.stop_agent()
    caplog.clear()
    stage.start_agent()
    wait_until(lambda: len(stage.dispatcher.results) == 2, 30, "the second result")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_an_attempt_that_comes_again_and_is_in_nobodys_hands_though_its_start_is_journaled_is_reported(
    stage: Stage,
) -> None:
    assert stage.agent is not None
    identity = {"pid": 2**22 + 1, "start_ticks": 1, "boot_id": processes.boot_id(), "started_clock": 1.0}
    task = make_task("succeed", attempt_id="task.1")
    stage.agent._journal.call(journaling.start("task.1", encode(task), identity))
    result = stage.dispatcher.run(task)
    assert result.error is not None
    assert (result.verdict, result.error.type) == (Verdict.NEVER_STARTED, "ChildDied")
