"""``/resources``: files of blueprints and deployments, by an execution's token or a person's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.engine import Connection
from starlette.datastructures import UploadFile
from starlette.responses import FileResponse, JSONResponse, Response

from outrider.dispatcher.errors import NotFound
from outrider.dispatcher.files import read_manifest
from outrider.dispatcher.store import blueprints, deployment_files
from outrider.dispatcher.store.instances import Key
from outrider.manager_stub.calls import Call, Operator, Reader
from outrider.manager_stub.deployment_files import checked_path, packed, take_in, take_in_archive
from outrider.manager_stub.downloads import content_response
from outrider.manager_stub.errors import BadRequest, Missing
from outrider.manager_stub.listing import truth
from outrider.manager_stub.resource import own_row
from outrider.manager_stub.resources import DEPLOYMENT
from outrider.manager_stub.uploads import work_folder

routes = APIRouter(prefix="/resources", tags=["files"])


@routes.get("/blueprints/{file_tenant}/{blueprint_id}/{path:path}")
def blueprint_file(call: Reader, file_tenant: str, blueprint_id: str, path: str) -> FileResponse:
    """Return a file that lay beside a blueprint."""
    with call.read() as connection:
        stored = blueprints.get(connection, file_tenant, blueprint_id)
    entries = read_manifest(call.manager.content, stored.resources) if stored.resources else {}
    if path not in entries:
        raise Missing(f"file of blueprint {blueprint_id!r}", path)
    return content_response(call.manager, entries[path], filename=path.rpartition("/")[2])


@routes.get("/deployments/{file_tenant}/{deployment_id}/")
def deployment_index(call: Reader, file_tenant: str, deployment_id: str, archive: str = "") -> Response:
    """Return when each of the files that a deployment keeps was changed; with ``archive``, a tar of them."""
    with call.read() as connection:
        found = deployment_files.listed(connection, _seen(connection, call, (file_tenant, deployment_id)))
    if truth(archive):
        return packed(call.manager, found, name=deployment_id)
    return JSONResponse({path: each.modified for path, each in found.items()})


@routes.get("/deployments/{file_tenant}/{deployment_id}/{path:path}")
def deployment_file(call: Reader, file_tenant: str, deployment_id: str, path: str) -> FileResponse:
    """Return a file that a deployment keeps; where it has none of this path, clients go on with its blueprint's."""
    with call.read() as connection:
        found = deployment_files.find(
            connection, _seen(connection, call, (file_tenant, deployment_id)), path.replace("\0", "")
        )
    if found is None:
        raise NotFound(f"file of deployment {deployment_id!r}", path)
    return content_response(call.manager, found.sha256, filename=path.rpartition("/")[2])


@routes.put("/deployments/{file_tenant}/{deployment_id}/")
async def store_deployment_files(
    call: Operator, file_tenant: str, deployment_id: str, request: Request, extract: str = ""
) -> None:
    """Keep all files of an archive with a deployment (``extract=yes``), beside those that are there."""
    if not truth(extract):
        raise BadRequest("name the file in the path, or send an archive with extract=yes")
    await _store(call, (file_tenant, deployment_id), None, request)


@routes.put("/deployments/{file_tenant}/{deployment_id}/{path:path}")
async def store_deployment_file(
    call: Operator, file_tenant: str, deployment_id: str, path: str, request: Request
) -> None:
    """Keep a file with a deployment: the body, or the part ``file`` of a form that may also tell its ``mtime``."""
    await _store(call, (file_tenant, deployment_id), checked_path(path), request)


@routes.delete("/deployments/{file_tenant}/{deployment_id}/{path:path}", status_code=204)
def delete_deployment_file(call: Operator, file_tenant: str, deployment_id: str, path: str) -> None:
    """Forget a file of a deployment."""
    with call.write() as connection:
        key = _changed(connection, call, (file_tenant, deployment_id))
        if not deployment_files.delete(connection, key, path.replace("\0", "")):
            raise Missing(f"file of deployment {deployment_id!r}", path)


async def _store(call: Call, key: Key, path: str | None, request: Request) -> None:
    """Take a body in; without a path it is an archive."""

    def check() -> None:
        with call.read() as connection:
            _changed(connection, call, key)

    def save(body: Path, modified: str | None) -> None:
        if path is None:
            take_in_archive(call, key, body)
        else:
            take_in(call, key, path, body, modified=modified)

    await run_in_threadpool(check)
    with work_folder(call.manager.settings.work) as folder:
        body = folder / "body"
        modified = await _read(request, body)
        await run_in_threadpool(save, body, modified)


async def _read(request: Request, body: Path) -> str | None:
    """Put what was sent into `body`; return when its sender says that it was changed."""
    if not request.headers.get("content-type", "").startswith("multipart/"):
        with body.open("wb") as file:
            async for chunk in request.stream():
                file.write(chunk)
        return None
    async with request.form(max_files=1, max_fields=5) as form:
        sent: Any = form.get("file")
        modified: Any = form.get("mtime")
        if not isinstance(sent, UploadFile):
            raise BadRequest("the form has no part 'file'")
        with body.open("wb") as file:
            await run_in_threadpool(shutil.copyfileobj, sent.file, file)
    return modified.replace("\0", "") if isinstance(modified, str) else None


def _seen(connection: Connection, call: Call, key: Key) -> Key:
    """Return the key of a deployment if the caller may see it, whose tenant is the path's. Raises Missing."""
    own_row(connection, call, DEPLOYMENT, key[1])
    return key


def _changed(connection: Connection, call: Call, key: Key) -> Key:
    """Return the key of a deployment if the caller may change its files; raises Missing, Forbidden."""
    call.check_deployment(key[1])
    return _seen(connection, call, key)
