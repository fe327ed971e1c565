"""Takes uploads in: streamed to disk, unpacked only after every member was checked, and cleaned up whatever happens."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import anyio
from fastapi import Request

from outrider.dispatcher.plugin_uploads import MAX_YAML_BYTES
from outrider.manager_stub.errors import BadRequest
from outrider.plugins.wagons.archive import Archive, open_archive
from outrider.plugins.wagons.limits import Limits

#: Blueprints are texts, scripts and small archives.
BLUEPRINT_LIMITS = Limits(members=20_000, unpacked_bytes=1 * 2**30)
MAX_ICON_BYTES = 4 * 2**20
WAGON_SUFFIX = ".wgn"


@contextmanager
def work_folder(parent: Path) -> Iterator[Path]:
    """A folder for one upload, gone at the end of the block."""
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="upload-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def received(request: Request, parent: Path) -> AsyncIterator[Path]:
    """The request's body as a file, for the time of the block. Its size is limited by `limiting.BodyLimit`."""
    with work_folder(parent) as folder:
        path = folder / "archive"
        async with await anyio.open_file(path, "wb") as file:
            async for chunk in request.stream():
                await file.write(chunk)
        yield path


@dataclass(frozen=True, kw_only=True)
class PluginUpload:
    """What came with a plugin."""

    wagons: tuple[Path, ...]
    #: File name → text; None: whatever the wagon itself holds.
    yamls: Mapping[str, str] | None = None
    icon: bytes | None = field(default=None, repr=False)


def open_plugin(body: Path, folder: Path, *, filename: str) -> PluginUpload:
    """Read an upload: a bare wagon, or an archive of wagons and their plugin.yaml. Raises BadRequest, WagonError."""
    if body.stat().st_size == 0:
        raise BadRequest("the upload is empty: send a wagon, or a zip of a wagon and its plugin.yaml")
    archive = open_archive(body)
    try:
        names = {member.name: PurePosixPath(member.name) for member in archive.members}
        wagons = [name for name, path in names.items() if path.suffix == WAGON_SUFFIX and len(path.parts) <= 2]
        if not wagons:
            return PluginUpload(wagons=(_named(body, folder, filename),))
        yamls = {path.name: name for name, path in names.items() if path.suffix in (".yaml", ".yml")}
        icons = [name for name, path in names.items() if path.name == "icon.png"]
        extracted = tuple(_extract(archive, name, folder) for name in wagons)
        texts = {
            short: _small(archive, name, MAX_YAML_BYTES).decode("utf-8", "replace") for short, name in yamls.items()
        }
        icon = _small(archive, icons[0], MAX_ICON_BYTES) if icons else None
    finally:
        archive.close()
    return PluginUpload(wagons=extracted, yamls=texts or None, icon=icon)


def unpack_blueprint(body: Path, folder: Path) -> Path:
    """Unpack a blueprint's archive and return the folder of its files: the one top folder, if there is just one."""
    if body.stat().st_size == 0:
        raise BadRequest("the upload is empty: send the blueprint's folder as tar.gz or zip")
    archive = open_archive(body, limits=BLUEPRINT_LIMITS)
    try:
        with archive.translated():
            for member, stream in archive.extract(frozenset(each.name for each in archive.members)):
                target = folder / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    shutil.copyfileobj(stream, file)
    finally:
        archive.close()
    entries = list(folder.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else folder


def _named(body: Path, folder: Path, filename: str) -> Path:
    target = folder / PurePosixPath(filename).name
    return body.rename(target)


def _extract(archive: Archive, name: str, folder: Path) -> Path:
    target = folder / PurePosixPath(name).name
    with archive.translated(name):
        for _member, stream in archive.extract(frozenset([name])):
            with target.open("wb") as file:
                shutil.copyfileobj(stream, file)
    return target


def _small(archive: Archive, name: str, limit: int) -> bytes:
    member = next(each for each in archive.members if each.name == name)
    if member.size_bytes > limit:
        raise BadRequest(f"{name} has {member.size_bytes} bytes, more than the {limit} that such a file may have")
    return archive.read(name)
