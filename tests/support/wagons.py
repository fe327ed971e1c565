"""Makes small wheels and wagons, right ones and broken ones, without pip and without an index."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional


def _hash(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def wheel_bytes(
    name: str = "demo",
    version: str = "1.0",
    *,
    files: Optional[Mapping[str, bytes]] = None,
    metadata: Sequence[str] = (),
    entry_points: str = "",
    record: Optional[str] = None,
) -> bytes:
    """Return a pure wheel's content. ``record`` replaces the right RECORD; executables start with ``#!``."""
    info = f"{name}-{version}.dist-info"
    contents = dict(files if files is not None else {f"{name}.py": f"NAME = {name!r}\n".encode()})
    headers = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *metadata]
    contents[f"{info}/METADATA"] = ("\n".join(headers) + "\n").encode()
    contents[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    if entry_points:
        contents[f"{info}/entry_points.txt"] = entry_points.encode()
    rows = [f"{path},{_hash(content)},{len(content)}" for path, content in contents.items()]
    contents[f"{info}/RECORD"] = ("\n".join([*rows, f"{info}/RECORD,,", ""]) if record is None else record).encode()
    return zip_bytes(contents)


def zip_bytes(members: Mapping[str, bytes]) -> bytes:
    """Return a zip file of these members."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in members.items():
            info = zipfile.ZipInfo(path)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (0o100755 if content.startswith(b"#!") else 0o100644) << 16
            archive.writestr(info, content)
    return stream.getvalue()


def tar_bytes(members: Mapping[str, bytes]) -> bytes:
    """Return a tar.gz file of these members."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for path, content in members.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


@dataclass
class WagonMaker:
    """Writes a wagon; every part can be replaced by a wrong one."""

    name: str = "demo"
    version: str = "1.0"
    pythons: Sequence[str] = ()
    platform: str = "any"
    #: File name -> content; by default one wheel of the plugin.
    wheels: dict[str, bytes] = field(default_factory=dict)
    #: Members beside package.json and the wheels, by full path.
    extra: dict[str, bytes] = field(default_factory=dict)
    #: Keys of package.json to replace, or to drop when None.
    metadata: dict[str, Any] = field(default_factory=dict)

    def members(self) -> dict[str, bytes]:
        wheels = self.wheels or {f"{self.name}-{self.version}-py3-none-any.whl": wheel_bytes(self.name, self.version)}
        metadata = {
            "package_name": self.name,
            "package_version": self.version,
            "supported_platform": self.platform,
            "supported_python_versions": list(self.pythons),
            "wheels": sorted(wheels),
            **self.metadata,
        }
        metadata = {key: value for key, value in metadata.items() if value is not None}
        return {
            f"{self.name}/package.json": json.dumps(metadata).encode(),
            **{f"{self.name}/wheels/{filename}": content for filename, content in wheels.items()},
            **self.extra,
        }

    def write(self, folder: Path, *, tar: bool = False) -> Path:
        path = folder / f"{self.name}-{self.version}.wgn"
        path.write_bytes((tar_bytes if tar else zip_bytes)(self.members()))
        return path


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
