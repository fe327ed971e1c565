"""Captured output: bounded on the disk, complete at both ends."""

from __future__ import annotations

import os
from pathlib import Path

from outrider.agent.runner.capture import Capture, read_tail

LIMIT = 1000


def _print_and_drain(path: Path, parts: list[bytes]) -> None:
    reader, writer = os.pipe()
    capture = Capture(reader, limit_bytes=LIMIT)
    capture.open(str(path))
    for part in parts:
        os.write(writer, part)
        assert capture.drain()
    os.close(writer)
    assert not capture.drain()
    capture.close()


def test_a_silent_operation_leaves_no_file(tmp_path: Path) -> None:
    _print_and_drain(tmp_path / "stdout", [])
    assert list(tmp_path.iterdir()) == []


def test_little_output_is_kept_whole(tmp_path: Path) -> None:
    _print_and_drain(tmp_path / "stdout", [b"one\n", b"two\n"])
    assert read_tail(tmp_path / "stdout", limit_bytes=100) == "one\ntwo\n"


def test_much_output_keeps_its_begin_and_its_end_and_is_bounded(tmp_path: Path) -> None:
    _print_and_drain(tmp_path / "stdout", [b"%099d\n" % number for number in range(1000)])
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3 * LIMIT
    assert (tmp_path / "stdout.head").read_bytes().startswith(b"%099d\n" % 0)
    assert read_tail(tmp_path / "stdout", limit_bytes=LIMIT).endswith(f"{999:099d}\n")
    assert len(read_tail(tmp_path / "stdout", limit_bytes=LIMIT)) == LIMIT


def test_a_file_that_cannot_be_written_does_not_stop_the_draining(tmp_path: Path) -> None:
    _print_and_drain(tmp_path / "no such folder" / "stdout", [b"x" * 500] * 100)
