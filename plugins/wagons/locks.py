"""Locks between processes: who builds an image or an environment, and who may remove it.

They are ``flock`` locks, so the kernel releases them when their holder dies, however it dies.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Optional

from .errors import LockTimeout

_FIRST_PAUSE_SECONDS = 0.005
_LONGEST_PAUSE_SECONDS = 0.1


@contextmanager
def locked(path: Path, *, timeout_seconds: float, shared: bool = False) -> Iterator[None]:
    """Hold the lock file ``path``; wait for it at most ``timeout_seconds``.

    Any number may hold it ``shared``; else one, which also excludes other threads of this process. Raises
    LockTimeout, which names the holder.
    """
    descriptor = _acquire(path, timeout_seconds, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Hold the lock if nobody else does; yields whether it is held. For cleaning, which never waits."""
    descriptor = _try(path, fcntl.LOCK_EX)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _acquire(path: Path, timeout_seconds: float, kind: int) -> int:
    deadline = time.monotonic() + timeout_seconds
    pause = _FIRST_PAUSE_SECONDS
    while True:
        descriptor = _try(path, kind)
        if descriptor is not None:
            return descriptor
        left = deadline - time.monotonic()
        if left <= 0:
            raise LockTimeout(
                f"{path}: held by process {_holder(path)} for more than {timeout_seconds:g} s;"
                " wait for that process, or end it if it hangs"
            )
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _try(path: Path, kind: int) -> Optional[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    # For messages only; on a full disk the lock is as good without it.
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode("ascii"))
    except OSError:
        pass
    return descriptor


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip() or "unknown"
    except OSError:
        return "unknown"
