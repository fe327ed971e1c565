"""Answers with files: attachments with a length, a hash as entity tag, and ranges."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from pathlib import Path

from starlette.background import BackgroundTask
from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from outrider.dispatcher.files import ContentStore
from outrider.dispatcher.store.plugins import Plugin
from outrider.manager_stub.service import Manager


def content_response(manager: Manager, sha256: str, *, filename: str) -> FileResponse:
    """Return stored content as an attachment. Raises `NotStored`."""
    path = manager.content.path(sha256)
    headers = {"ETag": f'"{sha256}"', "X-Content-Type-Options": "nosniff", "X-Checksum-Sha256": sha256}
    return _Content(path, media_type="application/octet-stream", filename=filename, headers=headers)


class _Content(FileResponse):
    """A file whose entity tag is its hash: who has it already is told so, and sent nothing."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        known = {each.strip().removeprefix("W/") for each in Headers(scope=scope).get("if-none-match", "").split(",")}
        if known & {self.headers["ETag"], "*"}:
            headers = {"ETag": self.headers["ETag"]}
            await Response(status_code=304, headers=headers)(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def full_plugin_response(manager: Manager, plugin: Plugin) -> FileResponse:
    """Return a zip of a plugin's wagons and descriptions, made for this answer and removed after it."""
    manager.settings.work.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(suffix=".zip", dir=manager.settings.work)
    os.close(descriptor)
    path = Path(name)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        _add_wagons(archive, manager.content, plugin)
        for yaml_name, text in plugin.yamls.items():
            archive.writestr(yaml_name, text)
    return FileResponse(
        path,
        media_type="application/zip",
        filename=f"{plugin.package_name}-{plugin.package_version}.zip",
        background=BackgroundTask(path.unlink, missing_ok=True),
    )


def _add_wagons(archive: zipfile.ZipFile, content: ContentStore, plugin: Plugin) -> None:
    for wagon in plugin.wagons:
        # A member's time is that of 1980, so that equal plugins make equal archives.
        with (
            content.path(wagon.sha256).open("rb") as source,
            archive.open(wagon.filename, "w", force_zip64=True) as target,
        ):
            shutil.copyfileobj(source, target)
