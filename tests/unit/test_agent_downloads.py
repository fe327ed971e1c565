"""An agent keeps what it fetched for as long as it is used, and not for ever."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from outrider.agent import downloads
from outrider.agent.runner.fetch import fetch
from tests.support.agents import Stage
from tests.support.waiting import wait_until

DAY = 86400.0


def kept(state_dir: Path, name: str, *, idle_days: float) -> Path:
    path = state_dir / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"content")
    then = time.time() - idle_days * DAY
    os.utime(path, (then, then))
    return path


def test_only_what_was_not_used_for_so_long_goes_and_what_is_left_of_a_cut_transfer(tmp_path: Path) -> None:
    sha256 = hashlib.sha256(b"content").hexdigest()
    used = kept(tmp_path, f"resources/{sha256[:2]}/{sha256}", idle_days=31)
    other = kept(tmp_path, "other/a", idle_days=31)
    young = kept(tmp_path, "resources/ab/young", idle_days=29)
    under_way = kept(tmp_path, "fetched/b.wgn.1-1.part", idle_days=0.5)
    gone = [
        kept(tmp_path, "resources/ab/old", idle_days=31),
        kept(tmp_path, "fetched/a.wgn", idle_days=31),
        kept(tmp_path, "resources/ab/c.1-1.part", idle_days=2),
    ]
    # Nothing is fetched, so the source does not matter.
    fetch({}, sha256, used)
    downloads.collect(tmp_path, unused_seconds=30 * DAY)
    assert [path.exists() for path in (used, other, young, under_way, *gone)] == [True] * 4 + [False] * 3


def test_an_agent_collects_them_in_its_housekeeping(tmp_path: Path) -> None:
    old = kept(tmp_path / "state", "resources/ab/old", idle_days=31)
    stage = Stage(tmp_path / "state")
    try:
        stage.start_agent()._forget_at = 0.0
        wait_until(lambda: not old.exists(), 30.0, "the housekeeping")
    finally:
        stage.close()
