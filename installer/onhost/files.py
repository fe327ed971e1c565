"""Writing files so that a kill at any moment leaves the old one or the new one."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from .errors import HostError


def write_atomic(path: Path, text: str, *, mode: int) -> bool:
    """Write a file and return whether it changed. The file never exists with wider permissions than `mode`."""
    data = text.encode("utf-8")
    try:
        if path.read_bytes() == data and (path.stat().st_mode & 0o777) == mode:
            return False
    except OSError:
        pass  # not there yet, or not readable: written anew
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        make_folder(path.parent)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise disk_error(error, path) from error
    return True


def make_folder(path: Path, *, mode: int = 0o755) -> None:
    """Make a folder and its parents."""
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, path) from error


def switch_link(link: Path, target: str) -> None:
    """Point a link elsewhere in one step."""
    part = link.with_name(f".{link.name}.{os.getpid()}.part")
    try:
        part.unlink(missing_ok=True)
        part.symlink_to(target)
        part.replace(link)
    except OSError as error:
        raise disk_error(error, link) from error


def disk_error(error: OSError, path: Path) -> HostError:
    """Return what an error of the file system means for a person."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HostError(
            "disk-full", f"no space left to write {path}", f"free some space on the disk that holds {path}"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return HostError("not-writable", f"cannot write {path}: {error.strerror}", f"make {path.parent} writable")
    return HostError("file", f"cannot write {path}: {error}", f"look at {path.parent} on the host")
