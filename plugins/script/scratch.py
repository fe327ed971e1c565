"""Folders and files that a script needs on disk, for the time of its operation.

Called for every script, in a process that was just forked and copies each page of memory that it touches: plain calls
of `os`, and neither `pathlib` nor `tempfile` unless nobody says where.
"""

from __future__ import annotations

import os
from itertools import count
from typing import Optional


def new_folder(prefix: str, work_dir: Optional[str]) -> str:
    """Make a folder below `work_dir`, which belongs to this operation alone, or wherever temporary files are."""
    if work_dir is None:
        import tempfile

        return tempfile.mkdtemp(prefix=f"{prefix}-")
    for number in count(1):
        folder = f"{work_dir}/{prefix}-{number}"
        try:
            os.mkdir(folder, 0o700)  # noqa: PTH102 - see above
        except FileExistsError:
            continue
        return folder
    raise AssertionError("numbers do not end")


def write_program(path: str, text: str) -> None:
    """Write an executable file that does not exist yet."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o755)
    try:
        view = memoryview(text.encode())
        while view:
            view = view[os.write(descriptor, view) :]
        # Whatever the umask is.
        os.fchmod(descriptor, 0o755)
    finally:
        os.close(descriptor)
