"""Agents that are stopped, killed, started again, started twice: nothing is lost, nothing runs twice."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from outrider.agent.agent import Agent
from outrider.agent.errors import StateLocked, StateUnusable
from outrider.agent.journal import Journal
from outrider.agent.runner import processes
from outrider.messaging.amqp import AmqpSettings, AmqpTransport
from outrider.messaging.messages import Verdict
from tests.support.agents import AGENT_ID, SUPPORT, PlayedDispatcher, Stage, make_task
from tests.support.rabbitmq import VirtualHost
from tests.support.waiting import wait_until


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    made = Stage(tmp_path / "state")
    made.start_agent()
    yield made
    made.close()


def test_a_running_operation_survives_a_restart_of_the_agent(stage: Stage, tmp_path: Path) -> None:
    started, go_on = tmp_path / "started", tmp_path / "go"
    attempt = stage.dispatcher.send(make_task("wait_for", inputs={"path": str(go_on), "started": str(started)}))
    wait_until(started.exists, 20, "the operation")
    stage.stop_agent()
    stage.start_agent()
    go_on.touch()
    assert stage.dispatcher.result_of(attempt).value == "saw it"


def test_an_operation_that_ends_while_no_agent_lives_is_reported_by_the_next(stage: Stage, tmp_path: Path) -> None:
    started, go_on = tmp_path / "started", tmp_path / "go"
    attempt = stage.dispatcher.send(
        make_task("log_and_wait", inputs={"path": str(go_on), "started": str(started), "count": 20})
    )
    pid = int(wait_until(lambda: started.exists() and started.read_text(), 20, "the operation"))
    stage.stop_agent()
    go_on.touch()
    wait_until(lambda: processes.status(pid) is None, 20, "the operation's end")
    stage.start_agent()
    result = stage.dispatcher.result_of(attempt)
    assert result.verdict is Verdict.SUCCEEDED
    wait_until(lambda: len(set(stage.dispatcher.records_of(attempt))) == result.last_sequence, 10, "all records")


def test_an_operation_can_be_cancelled_after_a_restart(stage: Stage, tmp_path: Path) -> None:
    started = tmp_path / "started"
    attempt = stage.dispatcher.send(make_task("ignore_sigterm", inputs={"started": str(started)}))
    pid = int(wait_until(lambda: started.exists() and started.read_text(), 20, "the operation"))
    stage.stop_agent()
    agent = stage.start_agent()
    agent.end_operations(grace_seconds=0)
    assert stage.dispatcher.result_of(attempt).verdict is Verdict.CANCELLED
    assert processes.status(pid) is None


def test_accepted_tasks_are_run_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    stage = Stage(tmp_path / "state", slots=1)
    stage.start_agent()
    try:
        started, go_on = tmp_path / "started", tmp_path / "go"
        stage.dispatcher.send(make_task("wait_for", inputs={"path": str(go_on), "started": str(started)}))
        wait_until(started.exists, 20, "the operation")
        lines = tmp_path / "lines"
        attempts = [
            stage.dispatcher.send(make_task("append_line", inputs={"path": str(lines), "line": str(n)}))
            for n in range(5)
        ]
        wait_until(lambda: _journaled(tmp_path / "state") == 6, 10, "six attempts in the journal")
        stage.stop_agent()
        stage.start_agent()
        go_on.touch()
        for attempt in attempts:
            assert stage.dispatcher.result_of(attempt).verdict is Verdict.SUCCEEDED
        assert sorted(lines.read_text().split()) == ["0", "1", "2", "3", "4"]
    finally:
        stage.close()


def test_a_second_agent_on_one_state_folder_is_refused(stage: Stage) -> None:
    transport = stage.broker.transport()
    with pytest.raises(StateLocked, match="another agent"):
        Agent(stage.settings, transport).start()
    transport.close()


def test_a_state_folder_that_cannot_be_written_is_named_and_free_for_the_next_agent(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_target: Path) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "the/sdk")

    stage.stop_agent()
    with monkeypatch.context() as patched:
        patched.setattr("outrider.agent.agent.copy_code", full)
        with pytest.raises(StateUnusable, match=f"{stage.settings.state_dir} cannot be used: the/sdk: No space left"):
            stage.start_agent()
    stage.start_agent()
    assert stage.dispatcher.run(make_task("succeed")).verdict is Verdict.SUCCEEDED


def test_a_lost_journal_is_a_new_epoch_and_old_tasks_are_refused(stage: Stage, tmp_path: Path) -> None:
    stage.dispatcher.run(make_task("succeed"))
    epoch = stage.dispatcher.heartbeats[-1].journal_epoch
    stage.stop_agent()
    for path in (tmp_path / "state").glob("journal.db*"):
        path.unlink()
    stage.start_agent()
    result = stage.dispatcher.run(make_task("succeed", journal_epoch=epoch))
    assert result.verdict is Verdict.NEVER_STARTED
    wait_until(lambda: stage.dispatcher.heartbeats[-1].journal_epoch != epoch, 5, "a heartbeat of the new epoch")


def test_a_journal_from_another_machine_is_a_new_epoch(stage: Stage, tmp_path: Path) -> None:
    stage.dispatcher.run(make_task("succeed"))
    epoch = stage.dispatcher.heartbeats[-1].journal_epoch
    stage.stop_agent()
    with closing(sqlite3.connect(tmp_path / "state" / "journal.db")) as connection, connection:
        connection.execute("UPDATE meta SET value = 'elsewhere' WHERE name = 'machine'")
    stage.start_agent()
    wait_until(lambda: stage.dispatcher.heartbeats[-1].journal_epoch != epoch, 5, "a heartbeat of the new epoch")


def test_a_task_that_kills_its_agent_twice_while_being_prepared_is_quarantined(stage: Stage, tmp_path: Path) -> None:
    task = make_task("append_line", inputs={"path": str(tmp_path / "lines"), "line": "x"})
    stage.dispatcher.run(make_task("succeed"))
    stage.stop_agent()
    from outrider.messaging.codec import encode

    with closing(sqlite3.connect(tmp_path / "state" / "journal.db")) as connection, connection:
        connection.execute(
            "INSERT INTO attempts (attempt_id, state, preparing, deaths, task, changed)"
            " VALUES (?, 'accepted', 1, 1, ?, 0)",
            (task.attempt_id, encode(task)),
        )
    stage.start_agent()
    result = stage.dispatcher.result_of(task.attempt_id)
    assert result.error is not None
    assert result.error.type == "Quarantined"
    assert not (tmp_path / "lines").exists()


@pytest.mark.parametrize("power_cut", [False, True], ids=["killed", "power-cut"])
def test_a_success_that_was_told_before_the_journal_had_it_is_told_again_or_lost_with_the_power(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, power_cut: bool
) -> None:
    assert stage.agent is not None
    commit = Journal._commit

    def die_before_the_end(journal: Journal, group: list[Any]) -> None:
        commit(journal, [each for each in group if not each[0].__qualname__.startswith("finish.")])

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "_commit", die_before_the_end)
        attempt = stage.dispatcher.run(make_task("succeed", inputs={"value": 7})).attempt_id
        # After a power cut there is no runner that would miss the result.
        stage.stop_agent(end_runners=power_cut)
    if power_cut:
        (tmp_path / "state" / "run" / attempt / "result.json").unlink()
        begun_at_an_earlier_boot(tmp_path / "state", attempt)
    agent = stage.start_agent()
    wait_until(lambda: len(stage.dispatcher.results) == 2, 20, "the attempt's second result")
    expected = (Verdict.RESULT_LOST, None) if power_cut else (Verdict.SUCCEEDED, 7)
    assert (stage.dispatcher.results[1].verdict, stage.dispatcher.results[1].value) == expected
    wait_until(lambda: not agent._attempts.all(), 20, "the end of the attempt")


def test_after_a_reboot_an_operation_without_a_result_is_lost(stage: Stage, tmp_path: Path) -> None:
    started = tmp_path / "started"
    attempt = stage.dispatcher.send(
        make_task("wait_for", inputs={"path": str(tmp_path / "x"), "started": str(started)})
    )
    pid = int(wait_until(lambda: started.exists() and started.read_text(), 20, "the operation"))
    stage.stop_agent()
    os.kill(pid, signal.SIGKILL)
    verdict = tmp_path / "state" / "run" / attempt / "result.json"
    wait_until(verdict.exists, 10, "the runner's verdict, which a power cut would have prevented")
    verdict.unlink()
    begun_at_an_earlier_boot(tmp_path / "state", attempt)
    stage.start_agent()
    result = stage.dispatcher.result_of(attempt)
    assert (result.verdict, result.proof.value) == (Verdict.RESULT_LOST, "reboot")


def begun_at_an_earlier_boot(state_dir: Path, attempt: str) -> None:
    """Make the journal of an agent that is stopped look as if the host had been restarted since."""
    with closing(sqlite3.connect(state_dir / "journal.db")) as connection, connection:
        (text,) = connection.execute("SELECT identity FROM attempts WHERE attempt_id = ?", (attempt,)).fetchone()
        identity = {**json.loads(text), "boot_id": "an earlier boot"}
        connection.execute("UPDATE attempts SET identity = ? WHERE attempt_id = ?", (json.dumps(identity), attempt))


def _journaled(state_dir: Path) -> int:
    with closing(sqlite3.connect(state_dir / "journal.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM attempts WHERE state != 'done'").fetchone()[0])


class AgentProcess:
    """The agent as a service: a process of its own, to be killed."""

    def __init__(self, url: str, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("OUTRIDER_")},
            "PYTHONPATH": str(SUPPORT),
            "OUTRIDER_BROKER_URLS": url,
            "OUTRIDER_STATE_DIR": str(state_dir),
            "OUTRIDER_AGENT_ID": AGENT_ID,
            "OUTRIDER_SLOTS": "4",
            "OUTRIDER_HEARTBEAT_SECONDS": "0.5",
            "OUTRIDER_LEASE_SECONDS": "60",
            "OUTRIDER_DISK_RESERVE_MIB": "1",
        }
        self._log = state_dir.parent / "agent.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "outrider.agent"], env=self._environment, stdout=log, stderr=log
            )

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(30)
        ended = subprocess.run(
            [sys.executable, "-m", "outrider.agent", "stop-all"],
            env=self._environment,
            check=False,
            capture_output=True,
        )
        assert ended.returncode == 0, ended.stderr.decode()


@pytest.fixture
def service(rabbitmq_vhost: VirtualHost, tmp_path: Path) -> Iterator[tuple[PlayedDispatcher, AgentProcess]]:
    transport = AmqpTransport(AmqpSettings(urls=(rabbitmq_vhost.url,)))
    transport.wait_connected(20)
    dispatcher = PlayedDispatcher(transport)
    process = AgentProcess(rabbitmq_vhost.url, tmp_path / "state")
    yield dispatcher, process
    process.close()
    transport.close()


def test_killing_the_agent_again_and_again_loses_nothing_and_doubles_nothing(
    service: tuple[PlayedDispatcher, AgentProcess], tmp_path: Path
) -> None:
    dispatcher, process = service
    process.start()
    lines = tmp_path / "lines"
    tasks = [make_task("append_line", inputs={"path": str(lines), "line": uuid.uuid4().hex}) for _ in range(120)]
    for task in tasks:
        dispatcher.send(task)
    for share in (5, 30, 60, 90):
        wait_until(lambda: len(_first(dispatcher)) >= share, 60, f"{share} results")  # noqa: B023 - called at once
        process.kill()
        process.start()
    wait_until(lambda: len(_first(dispatcher)) == len(tasks), 60, "a result of every attempt")
    written = lines.read_text().split()
    assert len(written) == len(set(written))
    for task in tasks:
        verdict = _first(dispatcher)[task.attempt_id]
        if verdict is Verdict.SUCCEEDED:
            assert task.inputs["line"] in written
        elif verdict is Verdict.NEVER_STARTED:
            assert task.inputs["line"] not in written
    succeeded = sum(verdict is Verdict.SUCCEEDED for verdict in _first(dispatcher).values())
    assert succeeded >= 110


def test_killing_the_agent_while_an_operation_runs_keeps_it_running(
    service: tuple[PlayedDispatcher, AgentProcess], tmp_path: Path
) -> None:
    dispatcher, process = service
    process.start()
    started, go_on = tmp_path / "started", tmp_path / "go"
    attempt = dispatcher.send(make_task("wait_for", inputs={"path": str(go_on), "started": str(started)}))
    wait_until(started.exists, 30, "the operation")
    process.kill()
    process.start()
    wait_until(lambda: attempt in dispatcher.heartbeats[-1].running, 30, "the operation in a heartbeat")
    go_on.touch()
    assert dispatcher.result_of(attempt).value == "saw it"
    assert len([r for r in dispatcher.results if r.attempt_id == attempt]) == 1


def _first(dispatcher: PlayedDispatcher) -> dict[str, Verdict]:
    found: dict[str, Verdict] = {}
    for result in list(dispatcher.results):
        found.setdefault(result.attempt_id, result.verdict)
    return found


def test_a_full_disk_is_said_and_the_agent_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root to mount a small tmpfs")
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)], check=True)
    try:
        stage = Stage(small / "state", disk_reserve_mib=2)
        stage.start_agent()
        try:
            stage.dispatcher.run(make_task("succeed"))
            with suppress(OSError), (small / "filler").open("wb", buffering=0) as filler:
                for _ in range(16 * 1024):
                    filler.write(b"x" * 1024)
            wait_until(lambda: stage.dispatcher.heartbeats[-1].state == "disk-full", 10, "it to be said")
            attempt = stage.dispatcher.send(make_task("succeed"))
            (small / "filler").unlink()
            assert stage.dispatcher.result_of(attempt).verdict is Verdict.SUCCEEDED
        finally:
            stage.close()
    finally:
        subprocess.run(["umount", str(small)], check=True)
