"""The content-addressed folder: ``<root>/<first two digits>/<sha256>``, written once and never changed.

Agents on the dispatcher's machine read the folder itself (``file://``), others through `app`. Incoming content is
written to ``<root>/.incoming`` and only renamed into place when it is whole, hashed and durable, so that a kill at any
moment leaves nothing that looks like content.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from outrider.dispatcher.durable import sync_folder
from outrider.dispatcher.files.errors import ContentMismatch, NotStored
from outrider.messaging.messages import FilesRef

CHUNK_BYTES = 1 << 20
#: Content that was put or confirmed less than this long ago survives `collect`, as its reference may still be on its
#: way into the store. An hour is longer than any upload's transaction.
GRACE_SECONDS = 3600.0

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Content that is in the folder."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a garbage collection did."""

    removed: int
    freed_bytes: int


def sha256_of(path: Path) -> str:
    """Return the hash of a file as it is now."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class ContentStore:
    """Files by hash. Any number of threads and processes may use one folder at the same time."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._incoming = self.root / ".incoming"
        self._incoming.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, chunks: Iterable[bytes], *, expected: str | None = None) -> Stored:
        """Store a stream of bytes; raises ContentMismatch if it does not have the `expected` hash."""
        aside = self._incoming / secrets.token_hex(8)
        try:
            stored = _write(aside, chunks)
            if expected is not None and stored.sha256 != expected:
                raise ContentMismatch(expected=expected, found=stored.sha256)
            self._move_in(aside, stored)
        finally:
            aside.unlink(missing_ok=True)
        return stored

    def put_bytes(self, data: bytes, *, expected: str | None = None) -> Stored:
        """Store bytes."""
        return self.put((data,), expected=expected)

    def put_stream(self, stream: IO[bytes], *, expected: str | None = None) -> Stored:
        """Store what a binary file object holds, from where it stands."""
        return self.put(iter(lambda: stream.read(CHUNK_BYTES), b""), expected=expected)

    def put_file(self, path: Path, *, expected: str | None = None) -> Stored:
        """Store a file's content."""
        with path.open("rb") as stream:
            return self.put_stream(stream, expected=expected)

    def path(self, sha256: str) -> Path:
        """Return where the content of this hash is; raises NotStored, also for what is no hash at all."""
        place = self._place(sha256)
        if place is None or not place.is_file():
            raise NotStored(sha256)
        return place

    def read(self, sha256: str) -> bytes:
        """Return content as a whole; for small ones, such as manifests. Raises NotStored."""
        return self.path(sha256).read_bytes()

    def __contains__(self, sha256: str) -> bool:
        place = self._place(sha256)
        return place is not None and place.is_file()

    def hashes(self) -> Iterator[str]:
        """Yield the hash of everything stored."""
        for folder in sorted(self.root.glob("[0-9a-f][0-9a-f]")):
            yield from (each.name for each in sorted(folder.iterdir()) if _SHA256.fullmatch(each.name))

    def damaged(self) -> Iterator[str]:
        """Yield the hashes whose content is not what it was (a failing disk); reads everything."""
        for sha256 in self.hashes():
            if sha256_of(self.path(sha256)) != sha256:
                yield sha256

    def collect(self, keep: Collection[str], *, grace_seconds: float = GRACE_SECONDS) -> Collected:
        """Remove content that is not in `keep` and older than the grace time, and what killed writers left behind."""
        before = time.time() - grace_seconds
        wanted = frozenset(keep)
        unwanted = [self._expect(each) for each in self.hashes() if each not in wanted]
        with self._locked(fcntl.LOCK_EX):
            sizes = [_remove_older(path, before) for path in (*unwanted, *self._incoming.iterdir())]
        freed = [size for size in sizes if size is not None]
        return Collected(removed=len(freed), freed_bytes=sum(freed))

    def _place(self, sha256: str) -> Path | None:
        return self._expect(sha256) if _SHA256.fullmatch(sha256) else None

    def _expect(self, sha256: str) -> Path:
        return self.root / sha256[:2] / sha256

    @contextlib.contextmanager
    def _locked(self, mode: int) -> Iterator[None]:
        """Keep a collection from removing what a writer has just found present."""
        descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, mode)
            yield
        finally:
            os.close(descriptor)

    def _move_in(self, aside: Path, stored: Stored) -> None:
        place = self._expect(stored.sha256)
        with self._locked(fcntl.LOCK_SH):
            if place.is_file():
                # Also if it seems to be the same: this starts the grace time anew, and mends what a disk has damaged.
                aside.replace(place)
                return
            if not place.parent.is_dir():
                place.parent.mkdir(mode=0o700, exist_ok=True)
                sync_folder(self.root)
            aside.replace(place)
            sync_folder(place.parent)


def _remove_older(path: Path, before: float) -> int | None:
    """Remove a file that was last touched before a time and return its size; None = it stays, or is gone already."""
    try:
        found = path.stat()
        if found.st_mtime >= before:
            return None
        path.unlink()
    except FileNotFoundError:
        return None
    return found.st_size


def _write(path: Path, chunks: Iterable[bytes]) -> Stored:
    digest = hashlib.sha256()
    size = 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
        file.flush()
        os.fsync(file.fileno())
    return Stored(sha256=digest.hexdigest(), size_bytes=size)


def local_ref(store: ContentStore) -> FilesRef:
    """Return the reference for an agent on this machine: the folder itself."""
    return FilesRef(url=store.root.as_uri())
