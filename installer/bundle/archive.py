"""The bundle file: a plain tar (its members are compressed already) with a manifest of hashes, the same every time."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outrider.installer.bundle.targets import Target
from outrider.installer.errors import BundleDamaged, BundleUnfit

MANIFEST = "manifest.json"
FORMAT = 1
EPOCH_SECONDS = 315532800


@dataclass(frozen=True)
class HostBundle:
    """What one kind of host gets: the part of a bundle for its target, as one archive in memory."""

    version: str
    target: Target
    data: bytes
    sha256: str

    @property
    def filename(self) -> str:
        """A name that says what it is, also on the host."""
        return f"outrider-agent-{self.version}-{self.target}-{self.sha256[:16]}.tar"


class Bundle:
    """A bundle file, read and checked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._selected: dict[Target, HostBundle] = {}
        try:
            with tarfile.open(path) as tar:
                self._files = {member.name: _content(tar, member) for member in tar}
            self._manifest: dict[str, Any] = json.loads(self._files.pop(MANIFEST))
        except (OSError, tarfile.TarError, KeyError, ValueError) as error:
            raise BundleDamaged(f"{path} is not a bundle of the agent: {error}") from error
        if self._manifest.get("format") != FORMAT:
            raise BundleDamaged(f"{path} has format {self._manifest.get('format')!r}, this release reads {FORMAT}")
        for name, entry in self._manifest["files"].items():
            if hashlib.sha256(self._files.get(name, b"")).hexdigest() != entry["sha256"]:
                raise BundleDamaged(f"{path}: {name} is missing or damaged")

    @property
    def version(self) -> str:
        """The agent's version."""
        return str(self._manifest["version"])

    @property
    def targets(self) -> tuple[Target, ...]:
        """What it was made for."""
        return tuple(sorted(_parse(text) for text in self._manifest["targets"]))

    @property
    def host_program(self) -> bytes:
        """The program that runs on the host (``host.pyz``)."""
        return self._files["host.pyz"]

    def select(self, target: Target) -> HostBundle:
        """Return the part for one kind of host; raises BundleUnfit with what the bundle has."""
        if target not in self._selected:
            names = self._manifest["targets"].get(str(target))
            if names is None:
                have = ", ".join(map(str, self.targets))
                command = f"outrider agent bundle --python {target.python} --platform {target.platform}"
                raise BundleUnfit(f"the bundle has no {target}, only {have}", remedy=f"build one with `{command}`")
            files = {name: self._files[name] for name in names}
            # Each target may need another virtualenv; the host knows its own by the plain name.
            files["virtualenv.pyz"] = files.pop(f"virtualenv/{target}.pyz")
            data = _pack(files, self.version, {str(target): sorted(files)})
            self._selected[target] = HostBundle(self.version, target, data, hashlib.sha256(data).hexdigest())
        return self._selected[target]


def write_bundle(path: Path, *, version: str, files: Mapping[str, bytes], targets: Mapping[str, list[str]]) -> Path:
    """Write a bundle aside and rename it into place; the same input gives the same bytes."""
    part = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(_pack(files, version, targets))
    part.replace(path)
    return path


def _pack(files: Mapping[str, bytes], version: str, targets: Mapping[str, list[str]]) -> bytes:
    entries = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} for name, data in sorted(files.items())
    }
    manifest = {"format": FORMAT, "version": version, "targets": dict(sorted(targets.items())), "files": entries}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode())
        for name, data in sorted(files.items()):
            _add(tar, name, data)
    return stream.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    member.mtime = EPOCH_SECONDS
    member.mode = 0o644
    tar.addfile(member, io.BytesIO(data))


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    return stream.read() if stream else b""


def _parse(text: str) -> Target:
    python, platform = text.split("-", 1)
    return Target(f"{python[2]}.{python[3:]}", platform)
