"""Wheels unpacked once, kept by hash: the images that environments are made of.

``wheels/<sha256>/tree/SCHEME/…`` holds the files, ``wheels/<sha256>/image.json`` says what they were when they
were verified. Environments share these files (see `disk.FileSharing`), so a plugin that writes into its own installed
files may write into an image. File modes cannot prevent that for root, and read-only files would follow every
``shutil.copy`` of a template out of a package. Therefore size, time and mode of each file are compared before it
is shared again: a changed image is dropped and unpacked anew.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from .disk import remove_tree, room_on
from .errors import CorruptStore
from .limits import DEFAULT_LIMITS, Limits
from .locks import locked
from .wheel import UnpackedWheel, Wheel, WheelFile
from .wheelname import parse_wheel_name

_MANIFEST = "image.json"
_TREE = "tree"
#: Manifests of another format are not read: their images are made again.
_FORMAT = 1


@dataclass(frozen=True)
class Image:
    """An unpacked wheel in the store. ``stamps`` are size, modification time (ns) and mode per file."""

    path: Path
    sha256: str
    wheel: UnpackedWheel
    stamps: tuple[tuple[int, int, int], ...]

    @property
    def tree(self) -> Path:
        """The folder with one folder per scheme."""
        return self.path / _TREE

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(file.size_bytes for file in self.wheel.files)


def stamp(path: str) -> tuple[int, int, int]:
    """Return what changes when somebody writes to a file: size, modification time, mode."""
    found = os.stat(path, follow_symlinks=False)  # noqa: PTH116 - per file: strings are cheaper than Paths
    return found.st_size, found.st_mtime_ns, found.st_mode


class WheelImages:
    """The images below one store's root. Safe for several processes; readers never lock."""

    def __init__(self, root: Path, *, limits: Limits = DEFAULT_LIMITS, lock_timeout_seconds: float = 600.0) -> None:
        self._wheels = root / "wheels"
        self._aside = root / "aside"
        self._locks = root / "locks"
        self._limits = limits
        self._lock_timeout_seconds = lock_timeout_seconds

    def find(self, sha256: str) -> Optional[Image]:
        """Return the image of the wheel with this hash, or None."""
        path = self._wheels / sha256
        try:
            manifest = json.loads((path / _MANIFEST).read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        return _decode(path, sha256, manifest) if manifest.get("format") == _FORMAT else None

    def add(self, wheel_file: Path, sha256: str, *, label: Optional[str] = None) -> Image:
        """Unpack and verify a wheel, once for all processes; return its image. Raises ArchiveError or StoreError."""
        with locked(self._locks / f"wheel-{sha256}.lock", timeout_seconds=self._lock_timeout_seconds):
            found = self.find(sha256)
            if found is not None:
                return found
            aside = self._aside / f"wheel-{sha256}"
            remove_tree(aside)  # what a killed process left; only the lock's holder is here
            remove_tree(self._wheels / sha256)
            try:
                with room_on(aside):
                    return self._unpack(wheel_file, sha256, aside, label)
            except BaseException:
                remove_tree(aside)
                raise

    def _unpack(self, wheel_file: Path, sha256: str, aside: Path, label: Optional[str]) -> Image:
        (aside / _TREE).mkdir(parents=True)
        with Wheel(wheel_file, limits=self._limits, label=label) as wheel:
            unpacked = wheel.unpack(aside / _TREE)
        stamps = tuple(stamp(f"{aside}/{_TREE}/{file.stored_path}") for file in unpacked.files)
        (aside / _MANIFEST).write_text(json.dumps(_encode(unpacked, stamps)), encoding="utf-8")
        final = self._wheels / sha256
        # Not made durable here: an environment's marker comes after one syncfs for all, and what a power cut
        # leaves of an image that no environment uses yet does not pass the comparison of sizes.
        aside.rename(final)
        return Image(final, sha256, unpacked, stamps)

    def drop(self, sha256: str) -> None:
        """Forget an image. Environments keep their files."""
        with locked(self._locks / f"wheel-{sha256}.lock", timeout_seconds=self._lock_timeout_seconds):
            doomed = self._aside / f"wheel-{sha256}"
            remove_tree(doomed)
            try:
                (self._wheels / sha256).rename(doomed)
            except FileNotFoundError:
                return
            remove_tree(doomed)

    def all_hashes(self) -> tuple[str, ...]:
        """Return the hashes of all images."""
        return tuple(sorted(entry.name for entry in os.scandir(self._wheels) if entry.is_dir()))


def require_unchanged(image: Image, expected: tuple[int, int, int], path: str) -> None:
    """Raise CorruptStore when ``path`` is no longer what was verified."""
    name = image.wheel.name.filename
    try:
        found = stamp(path)
    except FileNotFoundError:
        raise CorruptStore(image.sha256, f"{path}: is gone from the image of {name}") from None
    if found != expected:
        raise CorruptStore(image.sha256, f"{path}: was changed after {name} was verified")


def _encode(unpacked: UnpackedWheel, stamps: tuple[tuple[int, int, int], ...]) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "filename": unpacked.name.filename,
        "dist_info": unpacked.dist_info,
        "entry_points": unpacked.entry_points,
        "requires_python": unpacked.requires_python,
        "files": [
            (file.path, file.scheme, file.size_bytes, file.hash, file.executable, *seen)
            for file, seen in zip(unpacked.files, stamps)
        ],
    }


def _decode(path: Path, sha256: str, manifest: dict[str, Any]) -> Image:
    rows = manifest["files"]
    wheel = UnpackedWheel(
        name=parse_wheel_name(manifest["filename"]),
        dist_info=manifest["dist_info"],
        files=tuple(WheelFile(*row[:5]) for row in rows),
        entry_points=tuple((group, name, reference) for group, name, reference in manifest["entry_points"]),
        requires_python=manifest["requires_python"],
    )
    return Image(path, sha256, wheel, tuple((row[5], row[6], row[7]) for row in rows))
