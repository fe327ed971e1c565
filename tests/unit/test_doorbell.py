"""Processes of one home wake each other; a bell that nobody hears, or that cannot hang, costs nothing but time."""

from __future__ import annotations

import threading
from pathlib import Path

from outrider.dispatcher.doorbell import Doorbell, For, answered, ring


def test_all_bells_of_those_ring_and_no_others(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 40)
    first, second, other = (Doorbell(folder, whom) for whom in (For.FOLLOWERS, For.FOLLOWERS, For.DISPATCHERS))
    try:
        ring(folder, For.FOLLOWERS)
        ring(folder, For.FOLLOWERS)
        assert first.wait(10.0)
        assert second.wait(10.0)
        assert not other.wait(0.0)
        # Rung twice, heard once: what happened before it is looked at now.
        assert not first.wait(0.0)
    finally:
        for each in (first, second, other):
            each.close()
    assert list(folder.iterdir()) == []


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    killed = Doorbell(tmp_path, For.DISPATCHERS)
    killed._socket.close()
    ring(tmp_path, For.DISPATCHERS)
    assert list(tmp_path.iterdir()) == []


def test_a_bell_is_answered_until_the_block_ends(tmp_path: Path) -> None:
    heard = threading.Event()
    with answered(tmp_path, heard.set):
        ring(tmp_path, For.DISPATCHERS)
        assert heard.wait(10.0)
    heard.clear()
    ring(tmp_path, For.DISPATCHERS)
    assert not heard.is_set()


def test_a_folder_that_takes_no_bells_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    bell = Doorbell(tmp_path / "file", For.FOLLOWERS)
    assert not bell.wait(0.0)
    bell.close()
    ring(tmp_path / "file", For.FOLLOWERS)
