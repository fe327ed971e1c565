"""Control groups of version 2: found, made, limited and read on a tree of plain files that looks like the kernel's.

What only a kernel can show (who is in a group, and that killing it ends them) is in
`tests/integration/test_agent_cgroup_v2.py`.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from outrider.agent.runner import cgroups
from outrider.agent.runner.cgroups import Group, Groups, Hierarchy

LIMIT = 64 * 2**20
SCOPE = "user.slice/user-1000.slice/user@1000.service/outrider.slice/run-1.scope"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the group of this process, in a tree that the kernel would have delegated to a user."""
    scope = tmp_path / "cgroup" / SCOPE
    scope.mkdir(parents=True)
    (scope / "cgroup.controllers").write_text("cpu memory pids\n")
    (scope / "cgroup.subtree_control").write_text("")
    (scope / "cgroup.procs").write_text("")
    (tmp_path / "mountinfo").write_text(
        f"30 23 0:26 / {tmp_path}/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
    )
    (tmp_path / "own").write_text(f"0::/{SCOPE}\n")
    monkeypatch.setattr(cgroups, "_MOUNTS", tmp_path / "mountinfo")
    monkeypatch.setattr(cgroups, "_OWN", tmp_path / "own")
    # The kernel makes a group's files with its folder; here they are made when they are written.
    monkeypatch.setattr(cgroups, "_write", lambda path, text: Path(path).write_text(text))
    monkeypatch.setattr(cgroups, "_writable", lambda _hierarchy, _prefix: True)
    return scope


def test_a_pure_version_2_host_has_one_group_for_processes_and_memory(tree: Path) -> None:
    groups = cgroups.detect("outrider-1-")

    assert groups is not None
    assert groups.limits_memory
    assert groups.folders == [str(tree), str(tree)]
    # No process may be in a group whose children count memory: the runner has moved into one of its own.
    assert (tree / "cgroup.subtree_control").read_text() == "+memory"
    (own,) = tree.glob("runner-*")
    assert (own / "cgroup.procs").read_text() == "0"


def test_an_operations_memory_is_bounded_swap_included(tree: Path) -> None:
    groups = cgroups.detect("outrider-1-")
    assert groups is not None

    group = groups.create(memory_limit_bytes=LIMIT)

    assert group == Group(2, f"{tree}/outrider-1-1", 2, f"{tree}/outrider-1-1")
    assert Path(group.tracking, "memory.max").read_text() == str(LIMIT)
    assert Path(group.tracking, "memory.swap.max").read_text() == "0"
    assert cgroups.group_from(group.describe()) == group


@pytest.mark.parametrize(
    ("controllers", "others"), [("cpu pids", ""), ("cpu memory pids", "4711")], ids=["no controller", "other processes"]
)
def test_without_memory_groups_still_track_processes(tree: Path, controllers: str, others: str) -> None:
    (tree / "cgroup.controllers").write_text(controllers)
    (tree / "cgroup.procs").write_text(others)

    groups = cgroups.detect("outrider-1-")

    assert groups is not None
    assert not groups.limits_memory
    group = groups.create(memory_limit_bytes=LIMIT)
    assert (group.version, group.memory) == (2, None)
    assert group.peak_memory_bytes() is None


def test_beside_version_1_memory_is_counted_there(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    with (tmp_path / "mountinfo").open("a") as mounts, (tmp_path / "own").open("a") as own:
        mounts.write(f"31 23 0:27 / {tmp_path}/v1 rw shared:5 - cgroup cgroup rw,memory\n")
        own.write("4:memory:/\n")

    groups = cgroups.detect("outrider-1-")

    assert groups is not None
    group = groups.create(memory_limit_bytes=LIMIT)
    assert (group.version, group.memory_version) == (2, 1)
    assert group.memory == f"{tmp_path}/v1/outrider-1-1"
    assert Path(group.memory, "memory.limit_in_bytes").read_text() == str(LIMIT)


def test_what_the_kernel_counted_is_read(tmp_path: Path) -> None:
    group = Group(2, str(tmp_path), 2, str(tmp_path))
    assert not group.killed_for_memory()
    (tmp_path / "memory.peak").write_text("1048576\n")
    (tmp_path / "memory.events").write_text("low 0\nmax 12\noom 1\noom_kill 0\noom_group_kill 0\n")
    assert group.peak_memory_bytes() == 2**20
    assert not group.killed_for_memory()
    (tmp_path / "memory.events").write_text("oom 1\noom_kill 1\n")
    assert group.killed_for_memory()


def test_a_group_is_killed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, str] = {}
    monkeypatch.setattr(cgroups, "_write", lambda path, text: written.update({Path(path).name: text}))
    (tmp_path / "cgroup.procs").write_text("")

    assert Group(2, str(tmp_path), 2, None).kill(limit_seconds=1)
    assert written == {"cgroup.kill": "1"}


def test_a_host_without_any_usable_hierarchy_has_no_groups(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "_writable", lambda _hierarchy, _prefix: False)

    assert cgroups.detect("outrider-1-") is None


def test_groups_are_numbered_and_removed(tmp_path: Path) -> None:
    groups = Groups(Hierarchy(2, tmp_path), None, "outrider-1-")

    first, second = (groups.create(memory_limit_bytes=None) for _ in range(2))

    assert [Path(each.tracking).name for each in (first, second)] == ["outrider-1-1", "outrider-1-2"]
    assert first.remove()
    assert first.remove()
    assert Path(second.tracking).is_dir()


def test_a_group_that_cannot_be_looked_into_is_not_said_to_be_empty(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_path: Path, **_options: object) -> str:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    assert Group(2, str(tree / "removed"), 2, None).kill(limit_seconds=1)
    monkeypatch.setattr(Path, "read_text", fail)
    with pytest.raises(OSError, match="Too many open files"):
        Group(2, str(tree), 2, None).kill(limit_seconds=1)
