"""A runner on a host that has no room for another process, or descriptor, at the moment."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from outrider.agent.runner import protocol
from outrider.agent.runner.capture import Capture
from outrider.agent.runner.config import RunnerConfig
from outrider.agent.runner.forking import Prepared, fork, prepare
from outrider.agent.runner.supervised import Supervised
from outrider.agent.runner.tree import PROOF_SUBREAPER, Tree
from tests.support.waiting import wait_until

#: A runner that is refused its first two children.
PROGRAM = """
import errno, os, sys
from pathlib import Path
from outrider.agent.runner import main

main._FORK_AGAIN_SECONDS = 0.05
fork, refusals = os.fork, [1, 2]

def refuse_first():
    if refusals:
        refusals.pop()
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return fork()

os.fork = refuse_first
main.run(Path(sys.argv[1]), Path(sys.argv[2]))
"""
CONFIG = RunnerConfig("r", "fork", (), 2, 0.5, 10.0, 1.0, None, 2**20, 2**20, "/nonexistent", use_groups=False)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as made:
        yield made


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def fail(*_arguments: Any, **_options: Any) -> Any:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def made(listener: socket.socket) -> Prepared:
    return prepare(CONFIG, listener, None, {})


def test_what_was_prepared_for_a_child_that_cannot_be_made_is_closed(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = descriptors()
    monkeypatch.setattr(os, "fork", fail)
    assert fork([made(listener), made(listener)], boot=Path("boot.py")) == []
    assert descriptors() <= before
    monkeypatch.setattr(socket, "socketpair", fail)
    with pytest.raises(OSError, match="Too many open files"):
        made(listener)
    assert descriptors() <= before


def test_a_runner_that_is_refused_children_has_them_later(tmp_path: Path) -> None:
    CONFIG.write(tmp_path)
    root = next(Path(path) for path in sys.path if (Path(path) / "outrider" / "agent").is_dir())
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(root)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as runner:
        wait_until((tmp_path / protocol.STATE_NAME).exists, 30, "the runner")
        with protocol.connect(tmp_path, timeout_seconds=30) as connection:
            hello = protocol.receive_frame(connection)
        assert hello is not None
        assert hello["runner_id"] == "r"
        _, said = runner.communicate(timeout=30)
    assert runner.returncode == 0
    assert said.count("no child can be made at the moment") == 2


def test_a_timeout_is_enforced_again_if_it_was_not_known_what_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    unused = cast("Capture", type("Unused", (), {"open": lambda _self, _path: None})())
    child = Supervised(os.getpid(), cast("Any", None), unused, unused, None)
    child.begin({"attempt_id": "task.1", "directory": "/nonexistent", "timeout_seconds": 1})
    monkeypatch.setattr(Tree, "members", lambda _tree: [])
    child.enforce(grace_seconds=0)
    with monkeypatch.context() as patched:
        patched.setattr(Tree, "end", fail)
        with pytest.raises(OSError, match="Too many open files"):
            child.enforce(grace_seconds=0)
    assert child.due is not None
    monkeypatch.setattr(Tree, "end", lambda _tree, **_limits: PROOF_SUBREAPER)
    child.enforce(grace_seconds=0)
    assert child.due is None
