"""Reads zip and tar.gz archives that nobody vouches for: each name, type and size is checked before it is used.

Wagons come in both formats, and wheels are zip files, so `wagon` and `wheel` both read through here. Nothing is
ever written to a path that was not derived from a checked name.
"""

from __future__ import annotations

import errno
import gzip
import lzma
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Optional

from .errors import LimitExceeded, UnreadableArchive, UnsafeMember
from .limits import DEFAULT_LIMITS, Limits

CHUNK_BYTES = 1 << 20
_NEW_COPY = "get a new copy of the archive"
_BUILD_AGAIN = "build the archive again from a source you trust"
_RAISE_LIMIT = "raise the limit in the settings if you trust where the archive comes from"
_UNFIT = re.compile(r"[\x00-\x1f\\]")
_BLOCK_BYTES = 64 * 1024
#: What zipfile, tarfile and zlib raise for damaged input.
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    gzip.BadGzipFile,
    NotImplementedError,
    RuntimeError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True)
class Member:
    """A regular file of an archive; its name was checked and is relative."""

    name: str
    size_bytes: int
    executable: bool = False


def unsafe_name(name: str) -> Optional[str]:
    """Return why ``name`` must not be used as a path below a folder, or None when it may."""
    if not name:
        return "the name is empty"
    if _UNFIT.search(name):
        return "the name holds control characters or backslashes"
    if name.startswith("/"):
        return "the path is absolute"
    parts = name.split("/")
    if ".." in parts:
        return "the path leads outside the archive"
    if "" in parts or "." in parts:
        return "the path has empty parts"
    try:
        encoded = name.encode("utf-8")
    except UnicodeEncodeError:
        return "the name is not valid text"
    if len(encoded) > 2048 or (len(encoded) > 255 and any(len(part.encode("utf-8")) > 255 for part in parts)):
        return "the name is too long"
    return None


class Archive:
    """One archive, opened for reading: its checked members, and their content in the archive's order."""

    def __init__(self, path: Path, *, limits: Limits = DEFAULT_LIMITS, label: Optional[str] = None) -> None:
        self.path = path
        self.limits = limits
        #: How errors name the archive; a wheel inside a wagon is called by its own name.
        self.label = label or str(path)
        self.members: tuple[Member, ...] = ()

    def extract(self, names: frozenset[str]) -> Iterator[tuple[Member, IO[bytes]]]:
        """Yield each member of ``names`` with a stream of its content; read it before the next is asked for."""
        raise NotImplementedError

    def close(self) -> None:
        """Release the file."""

    def read(self, name: str) -> bytes:
        """Return one small member (metadata) as a whole.

        Raises LimitExceeded when it is larger than ``limits.metadata_bytes``, KeyError when there is no such member.
        """
        member = next((one for one in self.members if one.name == name), None)
        if member is None:
            raise KeyError(name)
        if member.size_bytes > self.limits.metadata_bytes:
            reason = f"has {member.size_bytes} bytes, more than the {self.limits.metadata_bytes} of a metadata file"
            raise LimitExceeded(self.label, reason, member=name, remedy=_RAISE_LIMIT)
        with self.translated(name):
            for _, stream in self.extract(frozenset([name])):
                return stream.read()
        raise KeyError(name)

    @contextmanager
    def translated(self, member: Optional[str] = None) -> Iterator[None]:
        """Turn what the readers raise for damaged input into UnreadableArchive: the one boundary for that."""
        try:
            yield
        except _DAMAGE as error:
            raise UnreadableArchive(self.label, f"is damaged: {error}", member=member, remedy=_NEW_COPY) from error
        except OSError as error:
            if error.errno != errno.EINVAL:  # a seek to nowhere; others are the disk's, and not ours to explain
                raise
            raise UnreadableArchive(self.label, f"is damaged: {error}", member=member, remedy=_NEW_COPY) from error

    def _accept(self, members: list[Member]) -> None:
        """Keep the members, after the checks that need all of them."""
        seen: set[str] = set()
        folders: set[str] = set()
        for member in members:
            if member.name in seen:
                raise UnsafeMember(self.label, "is there twice", member=member.name, remedy=_BUILD_AGAIN)
            seen.add(member.name)
            parts = member.name.split("/")
            folders.update("/".join(parts[:count]) for count in range(1, len(parts)))
        both = sorted(seen & folders)
        if both:
            raise UnsafeMember(self.label, "is a file and a folder at once", member=both[0], remedy=_BUILD_AGAIN)
        self.members = tuple(members)

    def _check_member(self, name: str, *, count: int, total_bytes: int) -> None:
        reason = unsafe_name(name)
        if reason is not None:
            raise UnsafeMember(self.label, reason, member=repr(name), remedy=_BUILD_AGAIN)
        if count > self.limits.members:
            reason = f"has more than {self.limits.members} members"
            raise LimitExceeded(self.label, reason, remedy=_RAISE_LIMIT)
        self._check_size(total_bytes)

    def _check_size(self, total_bytes: int) -> None:
        if total_bytes > self.limits.unpacked_bytes:
            reason = f"unpacks to more than {self.limits.unpacked_bytes} bytes"
            raise LimitExceeded(self.label, reason, remedy=_RAISE_LIMIT)
        packed = max(1, self.path.stat().st_size)
        if total_bytes > self.limits.ratio_from_bytes and total_bytes > packed * self.limits.ratio:
            reason = f"unpacks to {total_bytes // packed} times its size, more than {self.limits.ratio}"
            raise LimitExceeded(self.label, reason, remedy=_RAISE_LIMIT)

    def _refuse_type(self, name: str, kind: str) -> None:
        raise UnsafeMember(self.label, f"is {kind}", member=repr(name), remedy=_BUILD_AGAIN)


class ZipArchive(Archive):
    """A zip file: a wagon or a wheel."""

    def __init__(self, path: Path, *, limits: Limits = DEFAULT_LIMITS, label: Optional[str] = None) -> None:
        super().__init__(path, limits=limits, label=label)
        with self.translated():
            self._zip = zipfile.ZipFile(path)
        try:
            self._accept(list(self._checked()))
        except BaseException:
            self.close()
            raise

    def _checked(self) -> Iterator[Member]:
        total = 0
        for count, info in enumerate(self._zip.infolist(), 1):
            # zipfile cuts names at NUL and swaps separators; what the archive really says is judged.
            name = info.orig_filename
            total += info.file_size
            self._check_member(name.removesuffix("/"), count=count, total_bytes=total)
            mode = info.external_attr >> 16
            kind = stat.S_IFMT(mode)
            if kind == stat.S_IFLNK:
                self._refuse_type(name, "a link")
            if name.endswith("/"):
                continue
            if info.flag_bits & 0x1:
                self._refuse_type(name, "encrypted")
            if kind not in (0, stat.S_IFREG):
                self._refuse_type(name, "neither a file nor a folder")
            yield Member(info.filename, info.file_size, executable=bool(mode & 0o111))

    def extract(self, names: frozenset[str]) -> Iterator[tuple[Member, IO[bytes]]]:
        for member in self.members:
            if member.name in names:
                with self.translated(member.name), self._zip.open(member.name) as stream:
                    yield member, stream

    def close(self) -> None:
        self._zip.close()


class TarArchive(Archive):
    """A gzip-compressed tar file, read as a stream: each pass decompresses it from its beginning."""

    def __init__(self, path: Path, *, limits: Limits = DEFAULT_LIMITS, label: Optional[str] = None) -> None:
        super().__init__(path, limits=limits, label=label)
        self._accept([member for member, _ in self._walk()])

    def _walk(self) -> Iterator[tuple[Member, Optional[IO[bytes]]]]:
        with self.translated(), gzip.open(self.path) as unpacked:
            counted = _Counted(unpacked, self)
            total = 0
            with tarfile.open(fileobj=counted, mode="r|") as tar:  # type: ignore[call-overload] # needs read() only
                for count, info in enumerate(tar, 1):
                    # An archive of "everything in this folder" names it "." and its files "./file".
                    name = info.name.removeprefix("./")
                    if name == "." and info.isdir():
                        continue
                    # What a sparse file's holes unpack to is nowhere in the stream.
                    total += info.size
                    self._check_member(name, count=count, total_bytes=total)
                    if info.issym() or info.islnk():
                        self._refuse_type(name, f"a link to {info.linkname}")
                    if info.isdir():
                        continue
                    if not info.isreg():
                        self._refuse_type(name, "neither a file nor a folder")
                    yield Member(name, info.size, executable=bool(info.mode & 0o111)), tar.extractfile(info)
            # What proves that nothing is missing or damaged, gzip's checksum, comes after the archive's last member.
            while counted.read(_BLOCK_BYTES):
                pass

    def extract(self, names: frozenset[str]) -> Iterator[tuple[Member, IO[bytes]]]:
        left = set(names)
        for member, stream in self._walk():
            if member.name in left and stream is not None:
                left.remove(member.name)
                yield member, stream
            if not left:
                return


class _Counted:
    """Counts what gzip delivers, so that a bomb is noticed while it is read and not after."""

    def __init__(self, source: gzip.GzipFile, archive: TarArchive) -> None:
        self._source = source
        self._archive = archive
        self._total = 0

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self._total += len(data)
        self._archive._check_size(self._total)  # noqa: SLF001 - a part of the class that only needs a name
        return data


def open_archive(path: Path, *, limits: Limits = DEFAULT_LIMITS) -> Archive:
    """Open ``path`` as zip or tar.gz, whichever its first bytes say; the name does not matter.

    Raises UnreadableArchive, UnsafeMember or LimitExceeded.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
    except OSError as error:
        reason = f"cannot be opened: {error.strerror or error}"
        raise UnreadableArchive(str(path), reason, remedy="check the path and its permissions") from error
    if start[:2] == b"\x1f\x8b":
        return TarArchive(path, limits=limits)
    if start == b"PK\x03\x04":
        return ZipArchive(path, limits=limits)
    raise UnreadableArchive(str(path), "is neither a zip nor a tar.gz file", remedy=_NEW_COPY)


def copy_to(stream: IO[bytes], target: Path) -> None:
    """Write a member's content to a new file; existing files and links are never written through."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "wb") as output:
        while True:
            data = stream.read(CHUNK_BYTES)
            if not data:
                return
            output.write(data)
