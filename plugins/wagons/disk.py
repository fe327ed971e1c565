"""What the store needs of the file system: room, durability, cheap sharing, and removal that always works.

Everything that the operating system says about a full disk is translated here, once.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Callable, Optional

from .errors import DiskFull, StoreError

#: linux/fs.h: _IOW(0x94, 9, int). Both files share their blocks until one is written to (btrfs, XFS).
_FICLONE = 0x40049409
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
#: What a file costs beside its content: an inode and a directory entry, rounded up.
FILE_OVERHEAD_BYTES = 512


@contextmanager
def room_on(path: Path, *, needed_bytes: Optional[int] = None) -> Iterator[None]:
    """Translate "disk full" and other refusals of the system below into errors that name ``path``."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL or tells_full_disk(str(error)):  # shutil.Error has texts, but no number
            raise _disk_full(path, needed_bytes) from error
        raise StoreError(
            f"{error.filename or path}: {error.strerror or error}; check the folder and its permissions"
        ) from error


def tells_full_disk(text: str) -> bool:
    """Say whether a tool's output, or a collected error, speaks of a full disk or quota."""
    return any(f"[Errno {number}]" in text for number in _FULL)


def require_room(path: Path, *, needed_bytes: int, files: int) -> None:
    """Raise DiskFull before anything is written when it would not fit below ``path``."""
    system = os.statvfs(path)
    if system.f_bavail * system.f_frsize < needed_bytes:
        raise _disk_full(path, needed_bytes)
    # File systems without a fixed number of inodes (btrfs) report zero of zero.
    if system.f_files and system.f_favail < files:
        raise DiskFull(path, what=f"inodes ({files} needed, {system.f_favail} free)")


def _disk_full(path: Path, needed_bytes: Optional[int]) -> DiskFull:
    free = None
    with suppress(OSError):
        system = os.statvfs(path)
        free = system.f_bavail * system.f_frsize
    return DiskFull(path, needed_bytes=needed_bytes, free_bytes=free)


def make_durable(path: Path) -> None:
    """Bring everything that was written on the file system of ``path`` to the disk.

    One syncfs costs a few hundredths of a second; an fsync for each of a plugin's 8,000 files costs a minute.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _SYNCFS is None or _SYNCFS(descriptor) != 0:
            os.sync()
    finally:
        os.close(descriptor)


def _find_syncfs() -> Optional[Callable[[int], int]]:
    try:
        function: Callable[[int], int] = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return None
    return function


_SYNCFS = _find_syncfs()


def sync_folder(path: Path) -> None:
    """Make a rename or removal inside ``path`` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, data: bytes) -> None:
    """Write a small file so that readers see either the old or the whole new content, also after a power cut."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


class FileSharing:
    """Makes files with the content of others, as cheaply as the file system can.

    A clone (copy on write) where there is such a thing, else a hard link, else a copy. The first file shows what
    works; asking again for each of a plugin's 8,000 files would cost more than the links themselves.
    """

    def __init__(self) -> None:
        self._clone_works = True

    def share(self, source: str, target: str) -> None:
        """Make ``target`` a file like ``source``; an existing one is replaced, never written through."""
        if self._clone_works:
            self._clone_works = _clone(source, target)
            if self._clone_works:
                return
        try:
            os.link(source, target)
        except FileExistsError:
            Path(target).unlink()
            self.share(source, target)
        except OSError as error:
            # EXDEV: another file system; EMLINK: too many links; EPERM: the file system or a policy has none.
            if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP):
                raise
            shutil.copy2(source, target)


def _clone(source: str, target: str) -> bool:
    """Try to clone; False leaves no ``target`` behind."""
    with open(source, "rb") as reader:  # noqa: PTH123 - 8,000 times: strings are cheaper than Paths
        found = os.fstat(reader.fileno())
        with suppress(FileNotFoundError):
            Path(target).unlink()
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, stat.S_IMODE(found.st_mode))
        try:
            fcntl.ioctl(descriptor, _FICLONE, reader.fileno())
        except OSError:
            Path(target).unlink()
            return False
        else:
            os.utime(descriptor, ns=(found.st_atime_ns, found.st_mtime_ns))
            return True
        finally:
            os.close(descriptor)


def remove_tree(path: Path) -> None:
    """Remove a folder with all that is below it, or nothing when it is not there; links are not followed."""

    def retry_writable(function: Callable[[str], Any], name: str, _error: object) -> None:
        # A plugin may have taken the write permission from its own folders; a vanished file is what we want.
        with suppress(FileNotFoundError):
            os.chmod(os.path.dirname(name), 0o700)  # noqa: PTH101, PTH120 - what rmtree hands over are strings
            function(name)

    if path.is_symlink() or path.is_file():
        path.unlink()
        return
    if path.exists():
        shutil.rmtree(path, onerror=retry_writable)


def tree_size(path: Path) -> int:
    """Return the bytes of all files below ``path``, as their directory entries say."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(FileNotFoundError):
                total += os.lstat(f"{folder}/{name}").st_size
    return total
