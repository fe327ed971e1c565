"""Unpacks one wheel into a folder, each file checked against the wheel's RECORD while it is written.

A wheel's files have three fates, by https://packaging.python.org/en/latest/specifications/binary-distribution-format/:
most go to site-packages, those below ``NAME-VERSION.data/SCHEME/`` to the environment's scheme folders, and entry
points become scripts. The folder that is made here is the same for all environments; `linking` lays it into one.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from typing import IO, Optional

from .archive import CHUNK_BYTES, Member, ZipArchive
from .digest import record_hash
from .errors import BadMetadata, BadRecord
from .limits import DEFAULT_LIMITS, Limits
from .scripts import parse_entry_points
from .wheelname import WheelName, normalize, parse_wheel_name

SCHEMES = frozenset({"purelib", "platlib", "scripts", "data", "headers"})
#: RECORD does not list itself, nor its signatures.
_UNRECORDED = ("RECORD", "RECORD.jws", "RECORD.p7s")
_GET_AGAIN = "build or download this wheel again"
_FORBIDDEN_ALGORITHMS = frozenset({"md5", "sha1"})


@dataclass(frozen=True)
class WheelFile:
    """A file of an unpacked wheel."""

    #: Where it is, below the unpacked folder, and below the scheme's folder in an environment.
    path: str
    scheme: str
    size_bytes: int
    #: As RECORD writes it.
    hash: str
    executable: bool

    @property
    def stored_path(self) -> str:
        """The path below the unpacked wheel's folder."""
        return f"{self.scheme}/{self.path}"


@dataclass(frozen=True)
class UnpackedWheel:
    """What was unpacked: enough to lay it into an environment without opening the wheel again."""

    name: WheelName
    #: ``attrs-23.1.0.dist-info``
    dist_info: str
    files: tuple[WheelFile, ...]
    #: (group, name, ``module:attribute``) of console and GUI scripts.
    entry_points: tuple[tuple[str, str, str], ...]
    #: ``>=3.9``; empty where the wheel does not say.
    requires_python: str = ""


class Wheel:
    """A wheel file opened for unpacking. Use as a context manager."""

    def __init__(self, path: Path, *, limits: Limits = DEFAULT_LIMITS, label: Optional[str] = None) -> None:
        self.label = label or str(path)
        try:
            self.name = parse_wheel_name(path.name)
        except ValueError as error:
            raise BadMetadata(self.label, str(error), remedy=_GET_AGAIN) from error
        self._archive = ZipArchive(path, limits=limits, label=self.label)
        try:
            self.dist_info = self._find_dist_info()
            self._check_version()
            self._recorded = self._read_record()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Wheel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        self._archive.close()

    @property
    def unpacked_bytes(self) -> int:
        """The size of all files together."""
        return sum(member.size_bytes for member in self._archive.members)

    @property
    def count(self) -> int:
        """The number of files."""
        return len(self._archive.members)

    def metadata(self) -> str:
        """Return the text of METADATA."""
        return self._read(f"{self.dist_info}/METADATA").decode("utf-8", "replace")

    def unpack(self, folder: Path) -> UnpackedWheel:
        """Write all files below ``folder``/SCHEME/, each checked against RECORD. Raises an ArchiveError."""
        entry_points = self._entry_points()
        requires_python = str(HeaderParser().parsestr(self.metadata()).get("Requires-Python") or "").strip()
        made: set[str] = set()
        files = []
        wanted = frozenset(member.name for member in self._archive.members if not self._is_record(member.name))
        for member, stream in self._archive.extract(wanted):
            scheme, path = self._place(member.name)
            target = f"{folder}/{scheme}/{path}"
            parent = target.rpartition("/")[0]
            if parent not in made:
                os.makedirs(parent, exist_ok=True)  # noqa: PTH103 - per file: strings are cheaper than Paths
                made.add(parent)
            found = self._write(stream, target, member)
            files.append(WheelFile(path, scheme, member.size_bytes, found, member.executable))
        return UnpackedWheel(self.name, self.dist_info, tuple(files), entry_points, requires_python)

    def verify(self) -> None:
        """Check all files against RECORD without writing anything. Raises an ArchiveError."""
        self._entry_points()
        wanted = frozenset(member.name for member in self._archive.members if not self._is_record(member.name))
        for member, stream in self._archive.extract(wanted):
            self._place(member.name)
            self._write(stream, None, member)

    def _write(self, stream: IO[bytes], target: Optional[str], member: Member) -> str:
        algorithm, expected = self._recorded[member.name]
        digest = hashlib.new(algorithm)
        output = None if target is None else _new_file(target, executable=member.executable)
        try:
            while True:
                with self._archive.translated(member.name):
                    data = stream.read(CHUNK_BYTES)
                if not data:
                    break
                digest.update(data)
                if output is not None:
                    output.write(data)
        finally:
            if output is not None:
                output.close()
        found = record_hash(algorithm, digest.digest())
        if found != expected:
            reason = f"its content ({found}) is not what RECORD says ({expected})"
            raise BadRecord(self.label, reason, member=member.name, remedy=_GET_AGAIN)
        return found

    def _place(self, name: str) -> tuple[str, str]:
        """Return scheme and path of a member. Purelib and platlib are one folder in a virtualenv."""
        data_folder = f"{self.dist_info[: -len('.dist-info')]}.data/"
        if not name.startswith(data_folder):
            return "purelib", name
        scheme, _, path = name[len(data_folder) :].partition("/")
        if scheme not in SCHEMES or not path:
            raise BadMetadata(self.label, f"{scheme!r} is not a known scheme", member=name, remedy=_GET_AGAIN)
        return ("purelib" if scheme == "platlib" else scheme), path

    def _find_dist_info(self) -> str:
        found = sorted(
            {
                folder
                for folder in (member.name.split("/", 1)[0] for member in self._archive.members if "/" in member.name)
                if folder.endswith(".dist-info")
            }
        )
        mine = [folder for folder in found if normalize(folder.rsplit("-", 2)[0]) == self.name.key]
        if len(found) != 1 or not mine:
            reason = (
                f"must hold one .dist-info folder of {self.name.distribution}, and holds {', '.join(found) or 'none'}"
            )
            raise BadMetadata(self.label, reason, remedy=_GET_AGAIN)
        return found[0]

    def _check_version(self) -> None:
        headers = HeaderParser().parsestr(self._read(f"{self.dist_info}/WHEEL").decode("utf-8", "replace"))
        version = str(headers.get("Wheel-Version", "")).strip()
        if version.split(".")[0] != "1":
            reason = f"has the wheel format {version or 'unknown'!r}, and only 1.x is known"
            raise BadMetadata(self.label, reason, member=f"{self.dist_info}/WHEEL", remedy=_GET_AGAIN)

    def _read_record(self) -> dict[str, tuple[str, str]]:
        """Return member -> (algorithm, hash); every member must be in RECORD with a hash that can be trusted."""
        text = self._read(f"{self.dist_info}/RECORD").decode("utf-8", "replace")
        listed: dict[str, tuple[str, str]] = {}
        for row in csv.reader(io.StringIO(text)):
            if len(row) >= 2 and "=" in row[1]:
                listed[row[0]] = (row[1].partition("=")[0].lower(), row[1].rstrip("="))
        for member in self._archive.members:
            if self._is_record(member.name):
                continue
            if member.name not in listed:
                raise BadRecord(self.label, "is not listed in RECORD", member=member.name, remedy=_GET_AGAIN)
            algorithm = listed[member.name][0]
            if algorithm not in hashlib.algorithms_guaranteed or algorithm in _FORBIDDEN_ALGORITHMS:
                reason = f"RECORD uses {algorithm!r}, which proves nothing"
                raise BadRecord(self.label, reason, member=member.name, remedy=_GET_AGAIN)
        missing = sorted(set(listed) - {member.name for member in self._archive.members})
        if missing:
            raise BadRecord(self.label, "is listed in RECORD, but not there", member=missing[0], remedy=_GET_AGAIN)
        return listed

    def _is_record(self, name: str) -> bool:
        return name in {f"{self.dist_info}/{one}" for one in _UNRECORDED}

    def _entry_points(self) -> tuple[tuple[str, str, str], ...]:
        member = f"{self.dist_info}/entry_points.txt"
        try:
            text = self._archive.read(member).decode("utf-8")
        except KeyError:
            return ()
        except UnicodeDecodeError as error:
            raise BadMetadata(self.label, f"is not UTF-8: {error}", member=member, remedy=_GET_AGAIN) from error
        try:
            return parse_entry_points(text)
        except ValueError as error:
            raise BadMetadata(self.label, str(error), member=member, remedy=_GET_AGAIN) from error

    def _read(self, name: str) -> bytes:
        try:
            return self._archive.read(name)
        except KeyError:
            raise BadMetadata(self.label, "is missing", member=name, remedy=_GET_AGAIN) from None


def _new_file(target: str, *, executable: bool) -> IO[bytes]:
    mode = 0o755 if executable else 0o644
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    return os.fdopen(descriptor, "wb", buffering=0)
