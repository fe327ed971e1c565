"""The wheel of Outrider itself, as hosts get it: messaging, agent, and the plugins that ship with the agent.

Packed from the files that this process imports, so it works from a checkout and from an installed wheel alike, without
a build tool. The other packages (dispatcher, installer, manager …) stay away from hosts.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import importlib.util
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from outrider.installer.errors import BundleBuildFailed
from outrider.messaging.version import __version__

PACKAGES = (
    "outrider.messaging",
    "outrider.agent",
    "outrider.plugins.sdk",
    "outrider.plugins.wagons",
    "outrider.plugins.script",
    "outrider.plugins.ssh.access",
    "outrider.plugins.cloudify",
    "outrider.plugins.host",
)
#: Zip cannot say earlier, and the hour of packing is nobody's business.
EPOCH = (1980, 1, 1, 0, 0, 0)


def own_requirements() -> tuple[Requirement, ...]:
    """Return what the agent needs: the distribution's requirements without those of its extras."""
    try:
        stated = importlib.metadata.requires("outrider") or []
    except importlib.metadata.PackageNotFoundError as error:
        raise BundleBuildFailed(
            "Outrider is not installed here", remedy="install it with `pip install -e .`"
        ) from error
    parsed = (Requirement(text) for text in stated)
    return tuple(requirement for requirement in parsed if "extra" not in str(requirement.marker or ""))


def pack_own_wheel(folder: Path) -> Path:
    """Write the wheel into a folder and return it; the same files give the same bytes."""
    path = folder / f"outrider-{__version__}-py3-none-any.whl"
    info = f"outrider-{__version__}.dist-info"
    record: list[tuple[str, str, str]] = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as wheel:

        def add(name: str, data: bytes) -> None:
            write_entry(wheel, name, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append((name, f"sha256={digest}", str(len(data))))

        for name, source in sorted(_package_files()):
            add(name, source.read_bytes())
        add(f"{info}/METADATA", _metadata().encode())
        add(f"{info}/WHEEL", b"Wheel-Version: 1.0\nGenerator: outrider\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        lines = io.StringIO()
        csv.writer(lines, lineterminator="\n").writerows([*record, (f"{info}/RECORD", "", "")])
        write_entry(wheel, f"{info}/RECORD", lines.getvalue().encode())
    return path


def write_entry(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Add a file to a zip archive without a trace of when and where."""
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data)


def _package_files() -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise BundleBuildFailed(f"package {package} cannot be found", remedy="install Outrider again")
        root = Path(next(iter(spec.submodule_search_locations)))
        prefix = package.replace(".", "/")
        for path in root.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{prefix}/{path.relative_to(root).as_posix()}", path


def _metadata() -> str:
    lines = ["Metadata-Version: 2.1", "Name: outrider", f"Version: {__version__}", "Requires-Python: >=3.9"]
    lines += [f"Requires-Dist: {requirement}" for requirement in own_requirements()]
    return "\n".join([*lines, "", "The agent's part of Outrider, as the installer brings it to hosts.", ""])
