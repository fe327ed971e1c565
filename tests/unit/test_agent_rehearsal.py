"""The dry run in a waiting child: it goes the whole way of an operation, and leaves nothing of itself behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

#: Rehearses as a runner does, forks as a runner does, and says how the child fared.
PROGRAM = """
import gc, json, os, resource, signal, subprocess, sys
from outrider.agent.runner import operation, rehearsal
from outrider.agent.runner.config import RunnerConfig
from outrider.agent.runner.rehearsal import rehearse

outcomes = []
write = operation.write_aside

def note_and_write(path, body, *, durable):
    outcomes.append(json.loads(body))
    write(path, body, durable=durable)

operation.write_aside = note_and_write
config = RunnerConfig("r", "fork", (), 1, 1.0, 1.0, 1.0, 2**40, 2**20, 2**20, "/nonexistent")
for _ in range(3):
    rehearse(config)
gc.collect()
gc.freeze()
before = len(os.listdir("/proc/self/fd"))
pid = os.fork()
if pid:
    os.waitpid(pid, 0)
    sys.exit(0)

def copied(do):
    pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    do()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - pages

helper = subprocess.Popen(["sleep", "600"])
pages = [copied(lambda: rehearse(config)) for _ in range(2)]
rehearsal.nothing = None
rehearse(config)
spared = helper.poll() is None
helper.kill()
helper.wait()
print(json.dumps({
    "outcomes": outcomes,
    "pages": pages,
    "spared": spared,
    "files": os.listdir(),
    "descriptors": len(os.listdir("/proc/self/fd")) - before,
    "default": [signal.getsignal(each) is signal.SIG_DFL for each in (signal.SIGTERM, signal.SIGIO)],
    "marked": "OUTRIDER_ATTEMPT" in os.environ,
    "limit": resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY,
}), flush=True)
"""


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    folder = tmp_path_factory.mktemp("rehearsal")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_is_an_operation_that_succeeds(rehearsed: dict[str, Any]) -> None:
    *before, last = rehearsed["outcomes"]
    assert {(each["attempt_id"], each["verdict"]) for each in before} == {("rehearsal", "succeeded")}
    assert last["verdict"] == "failed", "the last one's operation was taken away"


def test_what_it_touched_need_not_be_copied_when_the_task_has_come(rehearsed: dict[str, Any]) -> None:
    first, second = rehearsed["pages"]
    assert second * 3 < first


def test_it_leaves_no_file_and_everything_as_it_was(rehearsed: dict[str, Any]) -> None:
    assert (rehearsed["descriptors"], rehearsed["default"]) == (0, [True, True])
    assert (rehearsed["marked"], rehearsed["limit"], rehearsed["files"]) == (False, True, [])


def test_one_that_fails_ends_no_process_that_the_plugins_import_started(rehearsed: dict[str, Any]) -> None:
    assert rehearsed["spared"]


def said_by(end: str, folder: Path) -> str:
    """Return what a program says that has another end than `PROGRAM`."""
    head = PROGRAM[: PROGRAM.index("for _ in range(3)")]
    command = [sys.executable, "-c", head + end]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=True).stdout


def test_one_that_finds_no_room_for_descriptors_is_given_up(tmp_path: Path) -> None:
    end = "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))\nrehearse(config)\nprint('went on')"
    assert said_by(end, tmp_path) == "went on\n"


def test_a_signal_to_the_runner_waits_until_the_rehearsals_are_over(tmp_path: Path) -> None:
    end = """
from outrider.agent.runner import signals
told = []
with signals.held(signals.TERMINATE):
    os.kill(os.getpid(), signal.SIGTERM)
    rehearse(config)
    signal.signal(signal.SIGTERM, lambda *_: told.append("heard"))
    told.append("waited")
print(told)
"""
    assert said_by(end, tmp_path) == "['waited', 'heard']\n"
