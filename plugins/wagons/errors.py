"""Errors of wagons.

WagonError
├── ArchiveError            something is wrong with one archive; the text names archive, member, reason and remedy
│   ├── UnreadableArchive   it is neither zip nor tar.gz, or it is damaged
│   ├── DigestMismatch      its content is not what was announced
│   ├── UnsafeMember        a member would be written outside, or is a link or a device
│   ├── LimitExceeded       it is larger, or has more members, than the limits allow
│   ├── BadMetadata         package.json, or a wheel's own metadata, is missing or not understood
│   ├── MissingWheel        the metadata names a wheel that the archive does not hold
│   ├── DuplicateWheel      two wheels fit that are different versions of one distribution
│   └── BadRecord           a wheel's files are not those of its RECORD
├── NoFittingWagon          none of the candidates fits this Python and platform; has every reason of each
├── InterpreterError        a Python interpreter cannot be asked what it is
├── BuildError              a wagon cannot be built
│   ├── BadSource           the folder, file, requirement or lock is not one that can be built
│   └── PipFailed           pip did not deliver the wheels; has the end of its output
└── StoreError              the store of environments cannot do what was asked
    ├── DiskFull            no room left; names the path, what is needed and what is free
    ├── LockTimeout         another process held a lock for longer than the limit
    ├── CorruptStore        a file of the store was changed behind its back
    └── EnvironmentFailed   the virtual environment itself could not be made
"""

from __future__ import annotations

from pathlib import Path
from typing import Optional


class WagonError(Exception):
    """The root of all errors that this package raises."""


class ArchiveError(WagonError):
    """Something is wrong with one archive.

    ``archive`` is the file's path or name, ``member`` the entry in it (or None), ``reason`` what is wrong,
    ``remedy`` what the reader can do.
    """

    def __init__(self, archive: str, reason: str, *, remedy: str, member: Optional[str] = None) -> None:
        self.archive = archive
        self.member = member
        self.reason = reason
        self.remedy = remedy
        place = archive if member is None else f"{archive}: {member}"
        super().__init__(f"{place}: {reason}; {remedy}")


class UnreadableArchive(ArchiveError):
    """The archive is neither zip nor tar.gz, or it is damaged."""


class DigestMismatch(ArchiveError):
    """The archive's content is not what was announced."""


class UnsafeMember(ArchiveError):
    """A member would be written outside the folder it is unpacked to, or is a link or a device."""


class LimitExceeded(ArchiveError):
    """The archive is larger, or has more members, than the limits allow."""


class BadMetadata(ArchiveError):
    """``package.json``, or a wheel's own metadata, is missing or not understood."""


class MissingWheel(ArchiveError):
    """The metadata names a wheel that the archive does not hold."""


class DuplicateWheel(ArchiveError):
    """Two wheels fit that are different versions of one distribution, so none can be preferred."""


class BadRecord(ArchiveError):
    """A wheel's files are not those that its RECORD lists, or their hashes differ."""


class NoFittingWagon(WagonError):
    """None of the candidates fits. ``reasons`` maps each candidate's file name to all its reasons."""

    def __init__(self, message: str, *, reasons: dict[str, tuple[str, ...]]) -> None:
        self.reasons = reasons
        lines = [f"  {name}: {reason}" for name, several in reasons.items() for reason in several]
        super().__init__("\n".join([message, *lines]))


class InterpreterError(WagonError):
    """A Python interpreter cannot be asked what it is; the text names its path."""


class BuildError(WagonError):
    """A wagon cannot be built."""


class BadSource(BuildError):
    """The folder, file, requirement or lock is not one that can be built; the text says why."""


class PipFailed(BuildError):
    """pip did not deliver the wheels. ``output`` is the end of what it printed."""

    def __init__(self, message: str, *, output: str) -> None:
        self.output = output
        super().__init__(f"{message}; the end of its output:\n{output}" if output else message)


class StoreError(WagonError):
    """The store of environments cannot do what was asked."""


class DiskFull(StoreError):
    """No room is left. ``needed_bytes`` and ``free_bytes`` are None where the system did not tell."""

    def __init__(
        self, path: Path, *, needed_bytes: Optional[int] = None, free_bytes: Optional[int] = None, what: str = "space"
    ) -> None:
        self.path = path
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes
        needed = "" if needed_bytes is None else f", needed: {_mib(needed_bytes)}"
        free = "" if free_bytes is None else f", free: {_mib(free_bytes)}"
        super().__init__(
            f"{path}: no {what} left on this file system{needed}{free}; free some space"
            " (unused environments are removed by garbage collection) or move the store to a larger file system"
        )


class LockTimeout(StoreError):
    """Another process held a lock for longer than the limit; the text names the lock's file and its holder."""


class CorruptStore(StoreError):
    """A file of the store was changed behind its back; the image it belongs to (``wheel_sha256``) is made again."""

    def __init__(self, wheel_sha256: str, reason: str) -> None:
        self.wheel_sha256 = wheel_sha256
        super().__init__(f"{reason}; the wheel is unpacked again, find out who writes into the store")


class EnvironmentFailed(StoreError):
    """The virtual environment itself could not be made; the text has the tool's output."""


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.1f} MiB"
