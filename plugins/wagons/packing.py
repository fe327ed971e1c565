"""Writes wagons and wheels byte for byte the same from the same content: sorted members, fixed times and modes."""

from __future__ import annotations

import json
import os
import time
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .digest import record_row
from .tags import platform_tags
from .target import Target
from .wagon import METADATA_NAME, WHEELS_FOLDER
from .wheelname import WheelName, expand, normalize, parse_wheel_name

#: Zip files know no time before this one.
EARLIEST_EPOCH = 315532800
#: The version of the `wagon` tool whose format this is; its readers ask for it.
_WAGON_FORMAT = "1.0.3"


def source_date_epoch() -> int:
    """Return the time that archives carry: SOURCE_DATE_EPOCH, by https://reproducible-builds.org/specs/, or 1980."""
    try:
        return max(EARLIEST_EPOCH, int(os.environ.get("SOURCE_DATE_EPOCH", EARLIEST_EPOCH)))
    except ValueError:
        return EARLIEST_EPOCH


def write_zip(path: Path, members: Iterable[tuple[str, bytes, bool]], *, compress: bool) -> None:
    """Write members (name, content, executable) in the order given; the whole file appears at once."""
    date_time = time.gmtime(source_date_epoch())[:6]
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(aside, "w") as archive:
            for name, content, executable in members:
                info = zipfile.ZipInfo(name, date_time)
                info.create_system = 3  # Unix, wherever this runs: the modes below are meant
                info.external_attr = (0o100755 if executable else 0o100644) << 16
                info.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
                archive.writestr(info, content)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def normalize_wheel(path: Path) -> None:
    """Write a wheel again, in place, without what its builder left of its own time and order."""
    with zipfile.ZipFile(path) as archive:
        infos = sorted(
            (info for info in archive.infolist() if not info.is_dir()), key=lambda info: _wheel_order(info.filename)
        )
        members = [(info.filename, archive.read(info), bool((info.external_attr >> 16) & 0o111)) for info in infos]
    write_zip(path, members, compress=True)


def write_module_wheel(
    folder: Path, *, name: str, version: str, module: Path, requires: tuple[str, ...], requires_python: str
) -> Path:
    """Write the wheel of a distribution that is one module; no build backend, so no index, is needed."""
    distribution = normalize(name).replace("-", "_")
    dist_info = f"{distribution}-{version}.dist-info"
    headers = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    headers += [f"Requires-Python: {requires_python}"] if requires_python else []
    headers += [f"Requires-Dist: {one}" for one in requires]
    contents = {
        module.name: module.read_bytes(),
        f"{dist_info}/METADATA": ("\n".join(headers) + "\n").encode("utf-8"),
        f"{dist_info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: outrider\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{dist_info}/top_level.txt": f"{module.stem}\n".encode(),
    }
    rows = [",".join(record_row(member, content)) for member, content in contents.items()]
    contents[f"{dist_info}/RECORD"] = "\n".join([*rows, f"{dist_info}/RECORD,,", ""]).encode("utf-8")
    path = folder / f"{distribution}-{version}-py3-none-any.whl"
    write_zip(path, [(member, content, False) for member, content in contents.items()], compress=True)
    return path


def write_wagon(
    output_dir: Path, *, plugin: WheelName, wheels: Iterable[Path], target: Target, details: Mapping[str, Any]
) -> Path:
    """Write a wagon of ``wheels`` for ``target`` as the `wagon` tool lays it out; return its path.

    ``details`` are further keys of its metadata: ``package_source``, ``python_requires``.
    """
    paths = sorted(wheels, key=lambda path: path.name)
    platform = _supported_platform((parse_wheel_name(path.name) for path in paths), target)
    python = f"py{target.python[0]}{target.python[1]}"
    filename = f"{plugin.distribution}-{plugin.version}-{python}-none-{platform}.wgn"
    metadata = {
        "archive_name": filename,
        "build_server_os_properties": {
            "distribution": None,
            "distribution_release": None,
            "distribution_version": None,
        },
        "created_by_wagon_version": _WAGON_FORMAT,
        "files": [],
        "package_build_tag": "",
        "package_name": plugin.key,
        "package_version": plugin.version,
        "supported_platform": platform,
        "supported_python_versions": [python],
        "wheels": [path.name for path in paths],
        **details,
    }
    text = json.dumps(metadata, indent=4, sort_keys=True).encode("utf-8")
    members = [(f"{plugin.key}/{METADATA_NAME}", text, False)]
    members += [(f"{plugin.key}/{WHEELS_FOLDER}/{path.name}", path.read_bytes(), False) for path in paths]
    output_dir.mkdir(parents=True, exist_ok=True)
    write_zip(output_dir / filename, members, compress=False)  # wheels are compressed already
    return output_dir / filename


def _supported_platform(wheels: Iterable[WheelName], target: Target) -> str:
    """``any``, or the platform's plain tag: what exactly it needs of the C library, the wheels' own tags say."""
    if all(any(tag.endswith("-any") for tag in expand(wheel.tag)) for wheel in wheels):
        return "any"
    return platform_tags(target)[-1]


def _wheel_order(name: str) -> tuple[bool, bool, str]:
    """Metadata last, RECORD at the very end, as the wheel format recommends."""
    return ".dist-info/" in name, name.endswith(".dist-info/RECORD"), name
