"""What becomes of operations that behave and misbehave, through the embedded transport and real processes."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import signal
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from outrider.agent.attempts import Phase
from outrider.agent.journal import Journal, State
from outrider.agent.runner import processes
from outrider.messaging.messages import ControlKind, Mode, PluginRef, Proof, Verdict, WagonRef
from outrider.messaging.topology import agent_queue
from tests.support.agents import AGENT_ID, SUPPORT, Stage, make_task
from tests.support.waiting import wait_until


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    made = Stage(tmp_path / "state")
    made.start_agent()
    yield made
    made.close()


def alive(pid: int) -> bool:
    found = processes.status(pid)
    return found is not None and found.state not in "ZX"


def test_an_operation_returns_its_value(stage: Stage) -> None:
    result = stage.dispatcher.run(make_task("succeed", inputs={"value": {"a": [1, 2]}}))
    assert (result.verdict, result.value, result.error) == (Verdict.SUCCEEDED, {"a": [1, 2]}, None)


def test_an_operation_has_no_descriptor_of_its_runner_or_of_those_that_were_forked_with_it(stage: Stage) -> None:
    for _ in range(4):
        result = stage.dispatcher.run(make_task("list_descriptors"))
        # What it prints, both ends; its connections to the runner and to the agent.
        assert result.value == ["/dev/null", *["pipe"] * 4, *["socket"] * 2]


@contextmanager
def busy_journal(stage: Stage, function: str, folder: Path) -> Iterator[tuple[Journal, str]]:
    """Have an operation end while the agent's journal is held up, until the block ends."""
    assert stage.agent is not None
    journal, gate, started, go_on = stage.agent._journal, threading.Event(), folder / "started", folder / "go_on"
    attempt_id = stage.dispatcher.send(make_task(function, inputs={"path": str(go_on), "started": str(started)}))
    wait_until(started.exists, 30.0, "the operation")
    journal.submit(lambda _connection: gate.wait(60.0), lambda _value, _error: None)
    try:
        go_on.touch()
        yield journal, attempt_id
        assert not gate.is_set()
    finally:
        gate.set()


def test_a_success_is_told_while_the_journal_is_still_busy_with_it(stage: Stage, tmp_path: Path) -> None:
    with busy_journal(stage, "wait_for", tmp_path) as (journal, attempt_id):
        assert stage.dispatcher.result_of(attempt_id).verdict is Verdict.SUCCEEDED
    wait_until(lambda: journaled_state(journal, attempt_id) is State.DONE, 30.0, "the journal to have it all")
    wait_until(lambda: not (stage.settings.state_dir / "run" / attempt_id).exists(), 30.0, "its folder to go")


def test_a_failure_is_told_only_when_the_journal_has_it(stage: Stage, tmp_path: Path) -> None:
    assert stage.agent is not None
    reporting = functools.partial(stage.agent._attempts.in_phase, Phase.REPORTING)
    with busy_journal(stage, "wait_and_fail", tmp_path) as (journal, attempt_id):
        wait_until(lambda: reporting() == [attempt_id], 30.0, "the operation's end")
        # A result that was sent would be here about as soon as this answer.
        stage.dispatcher.ask(ControlKind.PING)
        assert stage.dispatcher.results == []
    assert stage.dispatcher.result_of(attempt_id).verdict is Verdict.FAILED
    assert journaled_state(journal, attempt_id) in (State.FINISHED, State.DONE)


def journaled_state(journal: Journal, attempt_id: str) -> State:
    entry = journal.entry(attempt_id)
    assert entry is not None
    return entry.state


def test_an_exception_is_a_recoverable_failure_with_its_traceback(stage: Stage) -> None:
    result = stage.dispatcher.run(make_task("fail"))
    assert result.verdict is Verdict.FAILED
    assert result.error is not None
    assert (result.error.type, result.error.message, result.error.recoverable) == (
        "RuntimeError",
        "it does not work",
        True,
    )
    assert "agent_operations.py" in result.error.traceback


def test_a_non_recoverable_error_says_so(stage: Stage) -> None:
    result = stage.dispatcher.run(make_task("fail_for_good"))
    assert result.error is not None
    assert not result.error.recoverable


def test_an_operation_asks_for_a_retry(stage: Stage) -> None:
    result = stage.dispatcher.run(make_task("retry_later"))
    assert result.verdict is Verdict.RESCHEDULED
    assert result.error is not None
    assert result.error.retry_after_seconds == 7


def test_a_value_that_is_not_json_is_a_clear_failure(stage: Stage) -> None:
    result = stage.dispatcher.run(make_task("return_object"))
    assert result.error is not None
    assert result.error.type == "NotJson"


def test_an_operation_that_leaves_its_process_fails_with_the_exit_status(stage: Stage) -> None:
    result = stage.dispatcher.run(make_task("leave_process", inputs={"status": 3}))
    assert result.verdict is Verdict.FAILED
    assert result.error is not None
    assert "exit status 3" in result.error.message
    assert not result.error.recoverable


def test_an_operation_that_leaves_its_process_with_status_zero_did_not_succeed(stage: Stage) -> None:
    result = stage.dispatcher.run(make_task("leave_process", inputs={"status": 0}))
    assert result.verdict is Verdict.FAILED


def test_properties_saved_before_a_crash_are_in_the_result(stage: Stage) -> None:
    result = stage.dispatcher.run(make_task("set_property_and_die"))
    assert result.verdict is Verdict.FAILED
    assert [change.set for change in result.properties] == [{"resource_id": "i-123"}]


def test_an_unknown_module_is_a_clear_failure(stage: Stage) -> None:
    result = stage.dispatcher.run(make_task("no_such_module.operation"))
    assert result.verdict is Verdict.FAILED
    assert result.error is not None
    assert "no_such_module" in result.error.message


def test_output_is_in_the_result(stage: Stage) -> None:
    result = stage.dispatcher.run(make_task("print_little"))
    assert result.stdout_tail == "to stdout\nfrom below\n"
    assert result.stderr_tail == "to stderr\n"


def test_two_hundred_mebibytes_of_output_neither_block_nor_fill_the_disk(stage: Stage, tmp_path: Path) -> None:
    started = tmp_path / "started"
    result = stage.dispatcher.run(make_task("print_much", inputs={"mib": 200}), timeout_seconds=90)
    assert result.verdict is Verdict.SUCCEEDED
    assert result.stdout_tail.endswith("the last line\n")
    assert not started.exists()


def test_logs_arrive_once_and_in_order(stage: Stage) -> None:
    attempt = stage.dispatcher.send(make_task("log_lines", inputs={"count": 500}))
    result = stage.dispatcher.result_of(attempt)
    wait_until(lambda: len(stage.dispatcher.records_of(attempt)) >= 500, 10, "500 records")
    assert stage.dispatcher.records_of(attempt) == list(range(1, result.last_sequence + 1))


def test_a_timeout_ends_an_operation_that_ignores_sigterm(stage: Stage, tmp_path: Path) -> None:
    started = tmp_path / "started"
    result = stage.dispatcher.run(make_task("ignore_sigterm", inputs={"started": str(started)}, timeout_seconds=0.5))
    assert result.verdict is Verdict.TIMED_OUT
    assert result.proof in (Proof.CGROUP, Proof.SUBREAPER)
    assert not alive(int(started.read_text()))


def test_a_cancel_ends_an_operation_and_what_it_daemonised(stage: Stage, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    attempt = stage.dispatcher.send(make_task("daemonise_and_wait", inputs={"pid_file": str(pid_file)}))
    pid = wait_until(lambda: pid_file.exists() and pid_file.read_text(), 20, "the daemon")
    reply = stage.dispatcher.ask(ControlKind.CANCEL, attempt)
    assert reply.payload["outcome"] == "stopped"
    result = stage.dispatcher.result_of(attempt)
    assert result.verdict is Verdict.CANCELLED
    assert not alive(int(pid))


def test_what_a_successful_operation_daemonised_lives_on(stage: Stage, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    result = stage.dispatcher.run(make_task("daemonise_and_return", inputs={"pid_file": str(pid_file)}))
    pid = int(pid_file.read_text())
    try:
        assert result.verdict is Verdict.SUCCEEDED
        assert alive(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_what_a_failed_operation_daemonised_is_ended(stage: Stage, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    result = stage.dispatcher.run(make_task("daemonise_and_fail", inputs={"pid_file": str(pid_file)}))
    assert result.verdict is Verdict.FAILED
    assert not alive(int(pid_file.read_text()))


def test_a_cancel_that_overtakes_its_task_prevents_it(stage: Stage, tmp_path: Path) -> None:
    task = make_task("append_line", inputs={"path": str(tmp_path / "lines"), "line": "x"})
    assert stage.dispatcher.ask(ControlKind.CANCEL, task.attempt_id).payload["outcome"] == "never_started"
    result = stage.dispatcher.run(task)
    assert (result.verdict, result.proof) == (Verdict.CANCELLED, Proof.NEVER_STARTED)
    assert not (tmp_path / "lines").exists()


def test_a_cancel_after_the_end_changes_nothing(stage: Stage) -> None:
    task = make_task("succeed")
    stage.dispatcher.run(task)
    assert stage.dispatcher.ask(ControlKind.CANCEL, task.attempt_id).payload["outcome"] == "finished"
    assert [r.verdict for r in stage.dispatcher.results] == [Verdict.SUCCEEDED]


def test_an_attempt_that_is_delivered_again_runs_once(stage: Stage, tmp_path: Path) -> None:
    task = make_task("append_line", inputs={"path": str(tmp_path / "lines"), "line": "x"})
    for _ in range(3):
        stage.dispatcher.send(task)
    stage.dispatcher.result_of(task.attempt_id)
    stage.dispatcher.send(task)
    stage.dispatcher.run(make_task("succeed"))
    wait_until(lambda: stage.dispatcher.transport.queue_depth(agent_queue(AGENT_ID)) == 0, 5, "an empty queue")
    assert (tmp_path / "lines").read_text() == "x\n"


def test_secrets_are_put_in_place_and_are_nowhere_on_the_disk(stage: Stage, tmp_path: Path) -> None:
    stage.dispatcher.secrets = {"password": "hunter2-very-secret", "account": {"key": "nested-very-secret"}}
    inputs = {"a": {"$secret": "password"}, "b": [{"$secret": "account", "path": ["key"]}], "c": 1}
    started = tmp_path / "s"
    result = stage.dispatcher.run(make_task("count_characters", inputs=inputs, secrets=("password", "account")))
    assert result.value == {"a": 19, "b": 18, "c": 1}
    assert not started.exists()
    for path in (tmp_path / "state").rglob("*"):
        if path.is_file():
            assert b"very-secret" not in path.read_bytes(), path


def test_what_is_made_of_secrets_is_made_on_the_agent(stage: Stage) -> None:
    stage.dispatcher.secrets = {"password": "hunter2"}
    value = {
        "url": {"$concat": ["db://", {"$call": "string_upper", "args": [{"$secret": "password"}]}, "@host"]},
        "data": {"$literal": {"$secret": "not a reference"}},
    }
    task = make_task("succeed", inputs={"value": value}, secrets=("password",))
    assert stage.dispatcher.run(task).value == {"url": "db://HUNTER2@host", "data": {"$secret": "not a reference"}}


def test_data_that_looks_like_a_secret_arrives_as_it_is_without_any_secret(stage: Stage) -> None:
    result = stage.dispatcher.run(make_task("succeed", inputs={"value": {"$literal": {"$secret": "x"}}}))
    assert result.value == {"$secret": "x"}


def test_an_operation_that_may_only_be_resumed_runs_only_if_it_is_declared_so(stage: Stage, tmp_path: Path) -> None:
    inputs = {"path": str(tmp_path / "lines"), "line": "ran"}
    refused = stage.dispatcher.run(make_task("append_line", inputs=inputs, only_if_resumable=True))
    assert refused.error is not None
    assert (refused.verdict, refused.proof, refused.error.type) == (
        Verdict.NEVER_STARTED,
        Proof.NEVER_STARTED,
        "NotResumable",
    )
    missing = stage.dispatcher.run(make_task("no_such_module.no_such_function", only_if_resumable=True))
    assert missing.verdict is Verdict.NEVER_STARTED
    assert not (tmp_path / "lines").exists()
    run = stage.dispatcher.run(make_task("append_line_again", inputs=inputs, only_if_resumable=True))
    assert run.verdict is Verdict.SUCCEEDED
    assert (tmp_path / "lines").read_text() == "ran\n"


def test_a_previous_attempt_that_still_runs_is_left_alone_if_nobody_decided(stage: Stage, tmp_path: Path) -> None:
    inputs = {"path": str(tmp_path / "never"), "started": str(tmp_path / "started")}
    first = stage.dispatcher.send(make_task("wait_for", inputs=inputs))
    wait_until((tmp_path / "started").exists, 20, "the first attempt")
    second = make_task("append_line_again", previous_attempt_id=first, only_if_resumable=True)
    refused = stage.dispatcher.run(second)
    assert refused.error is not None
    assert (refused.verdict, refused.error.type) == (Verdict.NEVER_STARTED, "PreviousStillRuns")
    assert [each.attempt_id for each in stage.dispatcher.results] == [second.attempt_id]


def test_a_kill_gives_an_operation_no_grace(stage: Stage, tmp_path: Path) -> None:
    attempt_id = stage.dispatcher.send(make_task("mark_sigterm", inputs={"marker": str(tmp_path / "marker")}))
    wait_until(lambda: (tmp_path / "marker").exists() and (tmp_path / "marker").read_text(), 20, "its marker")
    reply = stage.dispatcher.ask(ControlKind.CANCEL, attempt_id, payload={"kill": True})
    assert reply.payload == {"outcome": "stopped"}
    assert stage.dispatcher.result_of(attempt_id).verdict is Verdict.CANCELLED
    assert (tmp_path / "marker").read_text() == "running"


def test_garbage_on_the_queue_becomes_a_dead_letter_and_the_agent_goes_on(stage: Stage) -> None:
    for body in (b"", b"\xff\xfe", b"{}", b'{"type": "OperationTask", "version": 1, "body": {}}'):
        stage.dispatcher.send_body(body)
    stage.dispatcher.send(make_task("succeed", attempt_id="../../etc/passwd"))
    wait_until(lambda: len(stage.dispatcher.dead) == 5, 5, "five dead letters")
    assert stage.dispatcher.run(make_task("succeed")).verdict is Verdict.SUCCEEDED


def test_a_plugin_without_a_fitting_wagon_is_a_clear_failure(stage: Stage) -> None:
    wagon = WagonRef("other-1.0-py27-none-any.wgn", "0" * 64, 10, tags=("cp27-cp27mu-win32",))
    result = stage.dispatcher.run(make_task("x.y", plugin=PluginRef("other", "1.0", wagons=(wagon,))))
    assert result.verdict is Verdict.FAILED
    assert result.error is not None
    assert "other" in result.error.message
    assert result.proof is Proof.NEVER_STARTED


def test_a_task_for_another_epoch_is_refused(stage: Stage) -> None:
    result = stage.dispatcher.run(make_task("succeed", journal_epoch="another"))
    assert result.verdict is Verdict.NEVER_STARTED
    assert result.error is not None
    assert result.error.type == "WrongEpoch"


def test_a_plugin_whose_import_starts_threads_runs_in_fresh_interpreters(stage: Stage) -> None:
    result = stage.dispatcher.run(make_task("agent_threaded.count_threads", agent_plugin="threaded"))
    assert (result.verdict, result.value) == (Verdict.SUCCEEDED, 2)


def test_a_plugin_whose_import_ends_the_process_fails_alone(stage: Stage) -> None:
    result = stage.dispatcher.run(make_task("agent_suicidal.operation", agent_plugin="suicidal"))
    assert result.verdict is Verdict.FAILED
    assert stage.dispatcher.run(make_task("succeed")).verdict is Verdict.SUCCEEDED


def test_spawn_is_available_on_request(stage: Stage) -> None:
    plugin = PluginRef("tested", "1.0", builtin=True, mode=Mode.SPAWN)
    assert stage.dispatcher.run(make_task("succeed", inputs={"value": 5}, plugin=plugin)).value == 5


def test_a_previous_attempt_that_still_runs_is_ended_first(stage: Stage, tmp_path: Path) -> None:
    started = tmp_path / "started"
    first = make_task("wait_for", inputs={"path": str(tmp_path / "never"), "started": str(started)})
    stage.dispatcher.send(first)
    pid = wait_until(lambda: started.exists() and started.read_text(), 20, "the first attempt")
    second = stage.dispatcher.run(make_task("succeed", previous_attempt_id=first.attempt_id, attempt_number=2))
    assert second.verdict is Verdict.SUCCEEDED
    assert not alive(int(pid))
    assert stage.dispatcher.result_of(first.attempt_id).verdict is Verdict.CANCELLED


def test_an_attempt_that_still_runs_is_ended_though_the_dispatcher_names_a_later_one(
    stage: Stage, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    task = uuid.uuid4().hex
    first = make_task(
        "wait_for", attempt_id=f"{task}.1", inputs={"path": str(tmp_path / "never"), "started": str(started)}
    )
    stage.dispatcher.send(first)
    pid = wait_until(lambda: started.exists() and started.read_text(), 20, "the first attempt")
    # The second one never came here; nobody but this agent knows that the first one goes on.
    asking = make_task(
        "succeed", attempt_id=f"{task}.3", attempt_number=3, previous_attempt_id=f"{task}.2", only_if_resumable=True
    )
    assert stage.dispatcher.run(asking).verdict is Verdict.NEVER_STARTED
    assert alive(int(pid))
    last = make_task("succeed", attempt_id=f"{task}.4", attempt_number=4, previous_attempt_id=f"{task}.2")
    assert stage.dispatcher.run(last).verdict is Verdict.SUCCEEDED
    assert not alive(int(pid))
    assert stage.dispatcher.result_of(first.attempt_id).verdict is Verdict.CANCELLED


def test_a_runner_that_is_killed_leaves_its_operations_running(stage: Stage, tmp_path: Path) -> None:
    started, go_on = tmp_path / "started", tmp_path / "go"
    attempt = stage.dispatcher.send(make_task("wait_for", inputs={"path": str(go_on), "started": str(started)}))
    wait_until(started.exists, 20, "the operation")
    (folder,) = (tmp_path / "state" / "runners").iterdir()
    os.kill(json.loads((folder / "state.json").read_text())["pid"], signal.SIGKILL)
    assert stage.dispatcher.run(make_task("succeed")).verdict is Verdict.SUCCEEDED
    go_on.touch()
    assert stage.dispatcher.result_of(attempt).value == "saw it"


@pytest.mark.parametrize("mode", [Mode.FORK, Mode.SPAWN])
def test_an_operation_may_print_after_its_runner_was_killed(stage: Stage, tmp_path: Path, mode: Mode) -> None:
    inputs = {"started": str(tmp_path / "started"), "path": str(tmp_path / "go"), "lines": 20_000}
    plugin = PluginRef("tested", "1.0", builtin=True, mode=mode)
    attempt = stage.dispatcher.send(make_task("print_before_and_after", inputs=inputs, plugin=plugin))
    wait_until((tmp_path / "started").exists, 20, "the operation")
    for folder in (tmp_path / "state" / "runners").iterdir():
        os.kill(json.loads((folder / "state.json").read_text())["pid"], signal.SIGKILL)
    (tmp_path / "go").touch()
    result = stage.dispatcher.result_of(attempt)
    assert (result.verdict, result.error) == (Verdict.SUCCEEDED, None)
    assert result.stdout_tail.splitlines()[-2:] == ["line 19999", "by a process of its own"]


def test_an_operation_killed_with_its_runner_is_result_lost(stage: Stage, tmp_path: Path) -> None:
    started = tmp_path / "started"
    attempt = stage.dispatcher.send(
        make_task("wait_for", inputs={"path": str(tmp_path / "no"), "started": str(started)})
    )
    pid = int(wait_until(lambda: started.exists() and started.read_text(), 20, "the operation"))
    (folder,) = (tmp_path / "state" / "runners").iterdir()
    os.kill(json.loads((folder / "state.json").read_text())["pid"], signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    assert stage.dispatcher.result_of(attempt).verdict is Verdict.RESULT_LOST


def test_results_and_logs_made_while_the_broker_is_away_arrive_once(stage: Stage, tmp_path: Path) -> None:
    started, go_on = tmp_path / "started", tmp_path / "go"
    stage.dispatcher.run(make_task("succeed"))
    attempt = stage.dispatcher.send(
        make_task("log_and_wait", inputs={"path": str(go_on), "started": str(started), "count": 50})
    )
    wait_until(started.exists, 20, "the operation")
    stage.broker.interrupt()
    go_on.touch()
    wait_until((tmp_path / "state" / "run" / attempt / "result.json").exists, 20, "the result's file")
    stage.broker.restore()
    result = stage.dispatcher.result_of(attempt)
    wait_until(lambda: len(set(stage.dispatcher.records_of(attempt))) >= result.last_sequence, 10, "all records")
    assert result.verdict is Verdict.SUCCEEDED
    assert sorted(set(stage.dispatcher.records_of(attempt))) == list(range(1, result.last_sequence + 1))


def test_a_result_too_large_for_the_broker_is_a_failure_with_its_sizes(tmp_path: Path, stage: Stage) -> None:
    stage.stop_agent()
    stage.settings = dataclasses.replace(stage.settings, result_limit_mib=0.01)
    stage.start_agent()
    result = stage.dispatcher.run(make_task("succeed", inputs={"value": "x" * 20_000}))
    assert result.verdict is Verdict.FAILED
    assert result.error is not None
    assert result.error.type == "ResultTooLarge"
    assert "return value 20002 bytes" in result.error.message
    assert len(stage.dispatcher.results) == 1


def test_an_operation_above_its_memory_limit_is_ended_and_says_so(tmp_path: Path, stage: Stage) -> None:
    stage.stop_agent()
    stage.settings = dataclasses.replace(stage.settings, memory_limit_mib=100, state_dir=tmp_path / "limited")
    stage.start_agent()
    result = stage.dispatcher.run(make_task("use_memory", inputs={"mib": 400}))
    assert result.verdict is Verdict.FAILED
    assert result.error is not None
    assert result.error.type in ("MemoryLimitExceeded", "MemoryError")


@pytest.mark.parametrize(("operation", "ends"), [("daemonise_and_wait", True), ("daemonise_and_return", False)])
def test_without_control_groups_the_subreaper_finds_daemons(
    stage: Stage, tmp_path: Path, operation: str, ends: bool
) -> None:
    stage.stop_agent()
    stage.settings = dataclasses.replace(stage.settings, control_groups=False, state_dir=tmp_path / "plain")
    stage.start_agent()
    pid_file = tmp_path / "pid"
    attempt = stage.dispatcher.send(make_task(operation, inputs={"pid_file": str(pid_file)}))
    pid = int(wait_until(lambda: pid_file.exists() and pid_file.read_text(), 20, "the daemon"))
    if ends:
        assert stage.dispatcher.ask(ControlKind.CANCEL, attempt).payload["outcome"] == "stopped"
        assert (stage.dispatcher.result_of(attempt).proof, alive(pid)) == (Proof.SUBREAPER, False)
    else:
        assert (stage.dispatcher.result_of(attempt).verdict, alive(pid)) == (Verdict.SUCCEEDED, True)
        os.kill(pid, signal.SIGKILL)


def test_without_control_groups_a_timeout_ends_the_tree(stage: Stage, tmp_path: Path) -> None:
    stage.stop_agent()
    stage.settings = dataclasses.replace(stage.settings, control_groups=False, state_dir=tmp_path / "plain")
    stage.start_agent()
    pid_file = tmp_path / "pid"
    task = make_task("daemonise_and_wait", inputs={"pid_file": str(pid_file)}, timeout_seconds=2)
    result = stage.dispatcher.run(task)
    assert (result.verdict, alive(int(pid_file.read_text()))) == (Verdict.TIMED_OUT, False)
