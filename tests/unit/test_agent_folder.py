"""An attempt's folder is evidence: it is never there by halves, neither while it is written nor while it is removed."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any, cast

import pytest

from outrider.agent import recovery
from outrider.agent.folder import AttemptFolder, read_records
from outrider.agent.runner.capture import Capture
from outrider.agent.runner.channel import FileChannel
from outrider.agent.runner.processes import boot_id, start_ticks
from outrider.agent.runner.supervised import Supervised
from outrider.agent.runner.tree import Tree


class Unopened:
    """The output of an operation that prints nothing."""

    def open(self, path: str) -> None:
        """Take no note."""


@pytest.fixture
def folder(tmp_path: Path) -> AttemptFolder:
    made = AttemptFolder(tmp_path / "run" / "task.1")
    made.create()
    (made.path / "result.json").write_text("{}", encoding="ascii")
    me = {"pid": os.getpid(), "start_ticks": start_ticks(os.getpid()), "boot_id": boot_id()}
    (made.path / "started").write_text(json.dumps(me), encoding="ascii")
    return made


def end_nothing(tree: Tree, **_limits: float) -> str:
    raise AssertionError(f"what attempt {tree.attempt_id} left running is ended")


def test_who_looks_for_the_result_while_the_folder_is_removed_does_not_take_the_operation_for_dead(
    folder: AttemptFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    unopened, unlink, looks = cast("Capture", Unopened()), os.unlink, list[str]()
    child = Supervised(os.getpid(), cast("Any", None), unopened, unopened, None)
    child.begin({"attempt_id": "task.1", "directory": str(folder.path)})

    def look_after(path: str, **options: Any) -> None:
        unlink(path, **options)
        looks.append(path)
        child.judge(0, 0.0, 0, config=cast("Any", None), known=())

    monkeypatch.setattr(Tree, "end", end_nothing)
    monkeypatch.setattr(os, "unlink", look_after)
    folder.remove()
    assert len(looks) == 2
    assert list(folder.path.parent.iterdir()) == []


def test_what_is_left_of_a_removal_that_was_interrupted_is_no_operation_that_runs(
    folder: AttemptFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_path: str, **_options: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", die)
        with pytest.raises(KeyboardInterrupt):
            folder.remove()
    (left,) = folder.path.parent.iterdir()
    (left / "result.json").unlink()
    monkeypatch.setattr(Tree, "end", end_nothing)
    recovery._clear(AttemptFolder(left))
    assert list(folder.path.parent.iterdir()) == []


def test_a_marker_that_could_not_be_written_does_not_say_that_the_operation_was_called(folder: AttemptFolder) -> None:
    assert folder.started
    (folder.path / "started").write_bytes(b"")
    assert not folder.started


def test_a_record_that_did_not_fit_on_the_disk_does_not_spoil_the_next(
    folder: AttemptFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = FileChannel(str(folder.path), {}, limit_bytes=200, resources_folder="")

    def log(text: str) -> None:
        channel.log(level="info", logger="plugin", message=text, time=0.0)

    log("first")
    with monkeypatch.context() as patched:
        write, room = os.write, iter((10,))

        def fill(descriptor: int, data: memoryview) -> int:
            for left in room:
                return write(descriptor, data[:left])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patched.setattr(os, "write", fill)
        with pytest.raises(OSError, match="No space left"):
            log("lost")
    log("second" * 30)
    log("one too many")
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", fill)
        channel.close()
    records, _ = read_records(folder.updates, 0)
    assert [(each["sequence"], each["message"]) for each in records] == [(1, "first"), (2, "second" * 30)]
