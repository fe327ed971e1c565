"""Files that operations keep with their deployment: taken in, listed, and handed out as an archive.

They lie in the content store like everything else; `routes.file_server` calls this.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from starlette.background import BackgroundTask
from starlette.responses import FileResponse

from outrider.dispatcher.files import ContentStore
from outrider.dispatcher.store import deployment_files
from outrider.dispatcher.store.deployment_files import DeploymentFile
from outrider.dispatcher.store.instances import Key
from outrider.manager_stub.calls import Call
from outrider.manager_stub.errors import BadRequest, TooLarge
from outrider.manager_stub.service import Manager
from outrider.manager_stub.uploads import BLUEPRINT_LIMITS
from outrider.manager_stub.wire import time_text
from outrider.plugins.wagons.archive import open_archive

#: Files of one deployment.
MOST_FILES = 10_000
MAX_PATH = 1024
#: Clients look for it in a packed archive: which file was changed when, so that they send back only what they changed.
INDEX = ".cloudify-index.json"


def checked_path(path: str) -> str:
    """Return a file's path inside its deployment; raises BadRequest for one that leads elsewhere."""
    parts = path.split("/")
    if not path or len(path) > MAX_PATH or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise BadRequest(f"{path[:80]!r} is no path of a file inside a deployment")
    return path


def take_in(call: Call, key: Key, path: str, content: Path, *, modified: str | None) -> None:
    """Keep one file. `modified`: when it was changed, in its keeper's words. Raises BadRequest, TooLarge."""
    checked_path(path)
    _save(call, key, {path: call.manager.content.put_file(content).sha256}, modified=modified)


def take_in_archive(call: Call, key: Key, body: Path) -> None:
    """Keep all files of an archive, beside those that are there. Raises BadRequest, WagonError, TooLarge."""
    if body.stat().st_size == 0:
        raise BadRequest("the upload is empty: send a tar of the deployment's files")
    found: dict[str, str] = {}
    archive = open_archive(body, limits=BLUEPRINT_LIMITS)
    try:
        with archive.translated():
            for member, stream in archive.extract(frozenset(each.name for each in archive.members)):
                path = checked_path(member.name)
                if path != INDEX:
                    found[path] = call.manager.content.put_stream(stream).sha256
    finally:
        archive.close()
    _save(call, key, found, modified=None)


def packed(manager: Manager, files: Mapping[str, DeploymentFile], *, name: str) -> FileResponse:
    """Return a tar of a deployment's files, made for this answer and removed after it."""
    manager.settings.work.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, text = tempfile.mkstemp(suffix=".tar.gz", dir=manager.settings.work)
    path = Path(text)
    try:
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
            for each, stored in files.items():
                _add(archive, manager.content, each, stored)
            index = json.dumps({each: stored.modified for each, stored in files.items()}).encode("utf-8")
            entry = tarfile.TarInfo(INDEX)
            entry.size = len(index)
            archive.addfile(entry, io.BytesIO(index))
    except BaseException:
        path.unlink()
        raise
    return FileResponse(
        path,
        media_type="application/gzip",
        filename=f"{name}.tar.gz",
        background=BackgroundTask(path.unlink, missing_ok=True),
    )


def _save(call: Call, key: Key, found: Mapping[str, str], *, modified: str | None) -> None:
    with call.write() as connection:
        changed = modified or time_text(call.now(connection)) or ""
        for path, sha256 in found.items():
            deployment_files.save(connection, key, path, DeploymentFile(sha256=sha256, modified=changed[:64]))
        if deployment_files.count(connection, key) > MOST_FILES:
            raise TooLarge(f"deployment {key[1]!r} would have more than the {MOST_FILES} files that one may have")


def _add(archive: tarfile.TarFile, content: ContentStore, path: str, stored: DeploymentFile) -> None:
    source = content.path(stored.sha256)
    entry = tarfile.TarInfo(path)
    entry.size = source.stat().st_size
    with source.open("rb") as file:
        archive.addfile(entry, file)
