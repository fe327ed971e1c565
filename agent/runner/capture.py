"""What an operation prints, drained into files of bounded size.

The runner keeps reading whatever happens, so that printing never blocks an operation and never fills the disk: the
first bytes stay in ``<name>.head``, the last ones in ``<name>`` (and ``<name>.previous``). A file exists only if
something was printed; the child relies on that (see `operation`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import termios
from pathlib import Path
from typing import Optional

_CHUNK = 64 * 1024


class Capture:
    """Drains one pipe into capped files."""

    def __init__(self, descriptor: int, *, limit_bytes: int) -> None:
        self.descriptor = descriptor
        self._limit = limit_bytes
        self._path: Optional[str] = None
        self._file = -1
        self._size = 0
        self._rotations = 0
        os.set_blocking(descriptor, False)

    def open(self, path: str) -> None:
        """Say where the output goes; what comes before that is thrown away (a waiting child prints nothing)."""
        self._path = path

    def go_on(self, path: str) -> None:
        """Go on with a file in place of a reader that died."""
        self._path = path
        with contextlib.suppress(OSError):
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._size = os.fstat(self._file).st_size

    def drain(self) -> bool:
        """Read all that is there now; returns False at the pipe's end."""
        while unread_bytes(self.descriptor):
            # The file is made before the first read: whoever sees an empty pipe and no file knows that nothing came.
            self._make_file()
            self._write(os.read(self.descriptor, _CHUNK))
        return not self._ended()

    def _ended(self) -> bool:
        """Return whether nobody holds the other end any more, and nothing is left to read."""
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        return any(event & select.POLLHUP and not event & select.POLLIN for _, event in poll.poll(0))

    def close(self) -> None:
        """Close pipe and file."""
        os.close(self.descriptor)
        self._close_file()

    def _make_file(self) -> None:
        if self._file < 0 and self._path is not None:
            # A full disk must not stop the draining.
            with contextlib.suppress(OSError):
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)

    def _write(self, data: bytes) -> None:
        if self._size + len(data) > self._limit:
            self._rotate()
        self._make_file()
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.write(self._file, data)
                self._size += len(data)

    def _rotate(self) -> None:
        self._close_file()
        self._size = 0
        if self._path is None:
            return
        kept = "head" if self._rotations == 0 else "previous"
        self._rotations += 1
        with contextlib.suppress(OSError):
            os.replace(self._path, f"{self._path}.{kept}")  # noqa: PTH105 - plain text, like all paths here

    def _close_file(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def unread_bytes(descriptor: int) -> int:
    """Return how much waits in a pipe; works on both of its ends."""
    try:
        return int(struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, b"\0" * 4))[0])
    except OSError:
        return 0


def read_tail(path: Path, *, limit_bytes: int) -> str:
    """Return the last bytes that were printed, as text; empty if nothing was."""
    if not path.exists():
        return ""
    parts: list[bytes] = []
    left = limit_bytes
    for candidate in (path, path.with_name(f"{path.name}.previous"), path.with_name(f"{path.name}.head")):
        if left <= 0:
            break
        try:
            with candidate.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - left))
                part = file.read(left)
        except OSError:
            continue
        parts.insert(0, part)
        left -= len(part)
    return b"".join(parts).decode("utf-8", "replace")
