"""Reads a wagon: one ``.wgn`` archive with all wheels of a plugin and its metadata.

The layout is the one that the `wagon` tool writes, as zip or tar.gz::

    <package>/package.json     name, version, platform, Pythons, wheels
    <package>/wheels/*.whl     the plugin and everything that it depends on
    <package>/files/…          optional further files

The dispatcher reads wagons when they are uploaded, the environment store before it installs, the command line to
show and verify them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from .archive import Archive, copy_to, open_archive
from .digest import file_sha256
from .errors import BadMetadata, DigestMismatch, MissingWheel
from .limits import DEFAULT_LIMITS, Limits
from .wheelname import WheelName, normalize, parse_wheel_name

METADATA_NAME = "package.json"
WHEELS_FOLDER = "wheels"
FILES_FOLDER = "files"
_BUILD_AGAIN = "build the wagon again"
_FETCH_AGAIN = "fetch the wagon again, or correct the recorded hash"


@dataclass(frozen=True)
class WagonWheel:
    """One wheel in a wagon: what its name says, where it is in the archive, and its size."""

    name: WheelName
    member: str
    size_bytes: int


@dataclass(frozen=True)
class Wagon:
    """A wagon that was read and whose structure is right; the wheels' insides are not looked at yet."""

    path: Path
    name: str
    version: str
    sha256: str
    size_bytes: int
    wheels: tuple[WagonWheel, ...]
    #: ``any``, ``linux_x86_64``, ``manylinux2014_x86_64`` …
    supported_platform: str
    #: ``py39``, ``py311`` …: the Pythons it was built for; empty where the metadata does not say.
    pythons: tuple[str, ...] = ()
    requires_python: str = ""
    files: tuple[str, ...] = ()
    #: package.json as it is.
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def filename(self) -> str:
        """The archive's file name."""
        return self.path.name


def read_wagon(path: Path, *, sha256: Optional[str] = None, limits: Limits = DEFAULT_LIMITS) -> Wagon:
    """Read and check a wagon's structure; ``sha256`` is compared first when it is given.

    Raises an ArchiveError that names the archive, the member, the reason and the remedy.
    """
    path = Path(path)
    found = checked_sha256(path, sha256)
    archive = open_archive(path, limits=limits)
    try:
        return _interpret(archive, found)
    finally:
        archive.close()


def checked_sha256(path: Path, expected: Optional[str]) -> str:
    """Return the file's SHA-256; raise DigestMismatch when ``expected`` is given and another."""
    try:
        found = file_sha256(path)
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        raise BadMetadata(str(path), reason, remedy="check the path and its permissions") from error
    if expected is not None and found != expected.lower():
        reason = f"has the SHA-256 {found}, not {expected.lower()}"
        raise DigestMismatch(str(path), reason, remedy=_FETCH_AGAIN)
    return found


def extract_wheels(
    wagon: Wagon, wheels: tuple[WagonWheel, ...], folder: Path, *, limits: Limits = DEFAULT_LIMITS
) -> None:
    """Copy ``wheels`` out of the wagon into ``folder``, each under its own file name."""
    by_member = {wheel.member: wheel for wheel in wheels}
    archive = open_archive(wagon.path, limits=limits)
    try:
        for member, stream in archive.extract(frozenset(by_member)):
            with archive.translated(member.name):
                copy_to(stream, folder / by_member[member.name].name.filename)
    finally:
        archive.close()


def _interpret(archive: Archive, sha256: str) -> Wagon:
    root = _root_folder(archive)
    metadata = _read_metadata(archive, f"{root}/{METADATA_NAME}")
    wheels = _wheels(archive, f"{root}/{WHEELS_FOLDER}/")
    _check_listed(archive, metadata, wheels)
    name, version = _text(archive, metadata, "package_name"), _text(archive, metadata, "package_version")
    if not any(wheel.name.key == normalize(name) for wheel in wheels):
        raise MissingWheel(archive.label, f"holds no wheel of {name} itself", remedy=_BUILD_AGAIN)
    prefix = f"{root}/{FILES_FOLDER}/"
    return Wagon(
        path=archive.path,
        name=name,
        version=version,
        sha256=sha256,
        size_bytes=archive.path.stat().st_size,
        wheels=wheels,
        supported_platform=str(metadata.get("supported_platform") or "any"),
        pythons=tuple(_python_tag(str(tag)) for tag in metadata.get("supported_python_versions") or ()),
        requires_python=str(metadata.get("python_requires") or ""),
        files=tuple(one.name[len(prefix) :] for one in archive.members if one.name.startswith(prefix)),
        metadata=metadata,
    )


def _root_folder(archive: Archive) -> str:
    roots = {member.name.split("/", 1)[0] for member in archive.members}
    if len(roots) != 1:
        found = ", ".join(sorted(roots)[:5]) or "nothing"
        reason = f"must hold one folder with {METADATA_NAME} and {WHEELS_FOLDER}/, and holds {found}"
        raise BadMetadata(archive.label, reason, remedy=_BUILD_AGAIN)
    return roots.pop()


def _read_metadata(archive: Archive, member: str) -> dict[str, Any]:
    try:
        metadata = json.loads(archive.read(member).decode("utf-8"))
    except KeyError:
        raise BadMetadata(archive.label, "is missing", member=member, remedy=_BUILD_AGAIN) from None
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or nested without end
        raise BadMetadata(archive.label, f"is not valid JSON: {error}", member=member, remedy=_BUILD_AGAIN) from error
    if not isinstance(metadata, dict):
        raise BadMetadata(archive.label, "is not a JSON object", member=member, remedy=_BUILD_AGAIN)
    for key in ("wheels", "supported_python_versions"):
        value = metadata.get(key)
        if value is not None and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            raise BadMetadata(archive.label, f"{key!r} is not a list of names", member=member, remedy=_BUILD_AGAIN)
    return metadata


def _text(archive: Archive, metadata: dict[str, Any], key: str) -> str:
    value = metadata.get(key)
    if not isinstance(value, str) or not value.strip():
        raise BadMetadata(archive.label, f"has no {key!r}", member=METADATA_NAME, remedy=_BUILD_AGAIN)
    return value


def _wheels(archive: Archive, prefix: str) -> tuple[WagonWheel, ...]:
    found = []
    for member in archive.members:
        if not member.name.startswith(prefix) or not member.name.endswith(".whl"):
            continue
        try:
            name = parse_wheel_name(member.name[len(prefix) :])
        except ValueError as error:
            raise BadMetadata(archive.label, str(error), member=member.name, remedy=_BUILD_AGAIN) from error
        found.append(WagonWheel(name, member.name, member.size_bytes))
    return tuple(sorted(found, key=lambda wheel: wheel.name.filename))


def _check_listed(archive: Archive, metadata: dict[str, Any], wheels: tuple[WagonWheel, ...]) -> None:
    held = {wheel.name.filename for wheel in wheels}
    missing = [name for name in metadata.get("wheels") or () if name not in held]
    if missing:
        reason = f"{METADATA_NAME} names a wheel that the archive does not hold"
        raise MissingWheel(archive.label, reason, member=", ".join(missing), remedy=_BUILD_AGAIN)


def _python_tag(tag: str) -> str:
    """Given ``--pyver py39``, the `wagon` tool writes ``pypy39``, which no interpreter calls itself."""
    match = re.fullmatch(r"py(py\d+)", tag)
    return match.group(1) if match else tag
