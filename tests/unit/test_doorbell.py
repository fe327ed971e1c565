"""Processes of one home wake each other; a bell that nobody hears, or that cannot hang, costs nothing but time."""

from __future__ import annotations

import errno
import os
import socket
import threading
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(("place", "name"), [(os, "open"), (socket, "socket")])
def test_who_rings_goes_on_where_files_have_run_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: object, name: str
) -> None:
    def none_left(*_given: object, **_more: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    bell = Doorbell(tmp_path, For.FOLLOWERS)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(place, name, none_left)
            ring(tmp_path, For.FOLLOWERS)
        assert not bell.wait(0.0)
    finally:
        bell.close()
