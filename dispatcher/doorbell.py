"""Bells between the processes of one home folder: the store has changed, and somebody waits for that.

Who asks for something rings for the dispatchers, which look into the store at once; a dispatcher rings for those who
follow executions when one has ended. Bells only save time: a store on another machine has none, and both sides look
by themselves as well. Each bell is a datagram socket in a folder; ringing never blocks; bells of the dead are removed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path

log = logging.getLogger(__name__)

#: How long a thread that answers listens at a time: the longest time for which its end waits where no bell can ring.
LISTEN_SECONDS = 5.0


class For(str, Enum):
    """Whom a bell wakes."""

    DISPATCHERS = "dispatcher"
    FOLLOWERS = "follower"


class Doorbell:
    """One bell, heard by one thread."""

    def __init__(self, folder: Path, whom: For) -> None:
        """Hang it up; in a folder that takes none (a network's), it never rings."""
        self._path = folder / f"{whom.value}-{uuid.uuid4().hex}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _reachable(folder) as short:
                self._socket.bind(f"{short}/{self._path.name}")
        except OSError as error:
            log.info("no bell in %s: %s", folder, error, extra={"action": "doorbell"})

    def wait(self, timeout_seconds: float) -> bool:
        """Return whether it rang within the time."""
        self._socket.settimeout(timeout_seconds)
        try:
            self._socket.recv(1)
        except (TimeoutError, BlockingIOError):
            return False
        self._drain()
        return True

    def close(self) -> None:
        """Take it down."""
        self._socket.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _drain(self) -> None:
        """Whoever rang before now has been heard."""
        self._socket.settimeout(0.0)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(1)


def ring(folder: Path, whom: For) -> None:
    """Ring all bells of those; none is no mistake, and whoever rings goes on whatever is wrong with them."""
    with contextlib.suppress(OSError):
        names = [name for name in os.listdir(folder) if name.startswith(whom.value)]  # noqa: PTH208 - in the hot path
        if names:
            _ring(folder, names)


def _ring(folder: Path, names: list[str]) -> None:
    with _reachable(folder) as short, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.settimeout(0.0)
        for name in names:
            try:
                bell.sendto(b".", f"{short}/{name}")
            except ConnectionRefusedError:
                # Nobody listens any more: its process was killed.
                with contextlib.suppress(OSError):
                    (folder / name).unlink()
            except OSError:
                # Full, because it has not been heard yet; or taken down meanwhile.
                continue


@contextlib.contextmanager
def answered(folder: Path, answer: Callable[[], None]) -> Iterator[None]:
    """Call `answer` on a thread each time the dispatchers' bells are rung, for the time of the block."""
    bell, ending = Doorbell(folder, For.DISPATCHERS), threading.Event()

    def listen() -> None:
        while not ending.is_set():
            if bell.wait(LISTEN_SECONDS) and not ending.is_set():
                answer()

    thread = threading.Thread(target=listen, name="doorbell", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        ring(folder, For.DISPATCHERS)
        thread.join()
        bell.close()


@contextlib.contextmanager
def _reachable(folder: Path) -> Iterator[str]:
    """Yield a short path of the folder: addresses of sockets have 108 bytes."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
