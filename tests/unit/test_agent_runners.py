"""What is left of runners on the disk, and of an operation among processes whose pids are used again."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outrider.agent import ending
from outrider.agent.environments import PluginEnvironment
from outrider.agent.errors import RunnerError
from outrider.agent.folder import AttemptFolder
from outrider.agent.runner import processes, protocol
from outrider.agent.runner.processes import Status
from outrider.agent.runner.tree import Tree
from outrider.agent.runners import Runner, Runners, Spec
from tests.support.agents import agent_settings

ENVIRONMENT = PluginEnvironment("tested", "1.0", sys.executable, sys.prefix, builtin=True)


@pytest.fixture
def runners(tmp_path: Path) -> Runners:
    return Runners(agent_settings(tmp_path), tmp_path / "sdk")


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """Stands for a runner's process."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as made:
        yield made
        made.kill()


def runner_in(folder: Path, process: subprocess.Popen[bytes]) -> Runner:
    folder.mkdir()
    state = {
        "pid": process.pid,
        "start_ticks": processes.start_ticks(process.pid),
        "boot_id": processes.boot_id(),
        "protocol": protocol.VERSION,
        "mode": "fork",
    }
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "spec.json").write_text(json.dumps({"key": "other", "code": "old", "plugin": "tested 1.0"}))
    return Runner(folder, process.pid, state["start_ticks"], "fork", None)


def test_the_folder_of_a_runner_that_gets_no_more_tasks_goes_when_it_has_ended(
    runners: Runners, tmp_path: Path, process: subprocess.Popen[bytes]
) -> None:
    dropped, replaced = (runner_in(tmp_path / "runners" / name, process) for name in ("dropped", "replaced"))
    spec = runners.spec(ENVIRONMENT, "fork")
    for runner in (dropped, replaced):
        runners._use(spec, runner)
    runners.drop(replaced)
    dismissed = runner_in(tmp_path / "runners" / "dismissed", process)
    runners.tidy()
    assert dropped.folder.exists()
    runners.adopt()
    process.kill()
    process.wait()
    runners.tidy()
    assert dismissed.pid == process.pid
    assert list((tmp_path / "runners").iterdir()) == []


def test_collecting_a_dead_runner_does_not_lose_the_one_that_just_took_its_place(
    runners: Runners, tmp_path: Path, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = runners.spec(ENVIRONMENT, "fork")
    dead = Runner(tmp_path / "dead", 2**22 + 1, 1, "fork", None)
    fresh = runner_in(tmp_path / "fresh", process)
    runners._use(spec, dead)
    is_alive = processes.alive

    def be_overtaken(pid: int, started: int) -> bool:
        if pid == dead.pid:
            runners._use(spec, fresh)
        return is_alive(pid, started)

    monkeypatch.setattr(processes, "alive", be_overtaken)
    runners.tidy()
    assert runners.known(spec) == fresh


def test_a_runner_that_cannot_be_started_leaves_no_folder(
    runners: Runners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_runners: Runners, _folder: Path, _spec: Spec) -> Any:
        raise OSError(12, os.strerror(12))

    monkeypatch.setattr(Runners, "_launch", fail)
    with pytest.raises(RunnerError, match=r"the runner of tested cannot be started: .*Cannot allocate memory"):
        runners.ensure(runners.spec(ENVIRONMENT, "fork"), ())
    assert list((tmp_path / "runners").iterdir()) == []


@pytest.mark.parametrize(("leader", "members"), [(Status(100, "S", 1, 100, 900), []), (None, [101])])
def test_a_session_of_another_process_with_the_same_pid_is_not_the_operations(
    monkeypatch: pytest.MonkeyPatch, leader: Status | None, members: list[int]
) -> None:
    there = [Status(101, "S", 100, 100, 901), *([leader] if leader else [])]
    monkeypatch.setattr(processes, "everything", lambda: there)
    monkeypatch.setattr(processes, "alive", lambda _pid, _started: False)
    monkeypatch.setattr(processes, "_environment", lambda _pid: [])
    assert [each.pid for each in Tree("task.1", 100, 500, None).members()] == members


def short(*_arguments: object) -> Any:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_without_a_descriptor_to_look_with_no_runner_is_taken_for_dead(
    runners: Runners, tmp_path: Path, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = runner_in(tmp_path / "runners" / "live", process)
    runners._use(runners.spec(ENVIRONMENT, "fork"), runner)
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", short)
        with pytest.raises(OSError, match="Too many open files"):
            runners.tidy()
    assert runner.folder.exists()


def test_without_a_descriptor_to_look_with_an_operation_is_not_taken_for_dead(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = Tree("task.1", process.pid, processes.start_ticks(process.pid), None)
    interrupt, interrupting = os.pipe()
    looks: list[object] = []

    def look_in_vain(*_arguments: object) -> Any:
        looks.append(None)
        if len(looks) > 2:
            os.write(interrupting, b"x")
        short()

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", look_in_vain)
        patched.setattr(os, "pidfd_open", short)
        patched.setattr(ending, "_LOOK_SECONDS", 0.01)
        with pytest.raises(ending.Interrupted):
            ending.await_end(tree, None, ending.Deadline(0.0, None, slack_seconds=0.0), interrupt)
    os.close(interrupt)
    os.close(interrupting)


def test_the_last_word_is_heard_though_there_was_no_descriptor_for_it_at_first(
    runners: Runners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "result.json").write_text('{"verdict": "succeeded"}')
    read, failures = Path.read_bytes, iter((short, short))

    def read_in_the_end(path: Path) -> Any:
        return next(failures, read)(path)

    monkeypatch.setattr(Path, "read_bytes", read_in_the_end)
    told = ending.last_word(AttemptFolder(tmp_path), lambda: runners.is_alive("gone"))
    assert told == {"verdict": "succeeded"}
