"""Answers with files: attachments with a length, a hash as entity tag, and ranges."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from pathlib import Path

from starlette.background import BackgroundTask
from starlette.responses import FileResponse

from outrider.dispatcher.files import ContentStore
from outrider.dispatcher.store.plugins import Plugin
from outrider.manager_stub.service import Manager


def content_response(manager: Manager, sha256: str, *, filename: str) -> FileResponse:
    """Return stored content as an attachment. Raises `NotStored`."""
    path = manager.content.path(sha256)
    headers = {"ETag": f'"{sha256}"', "X-Content-Type-Options": "nosniff", "X-Checksum-Sha256": sha256}
    return FileResponse(path, media_type="application/octet-stream", filename=filename, headers=headers)


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
