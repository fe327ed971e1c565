"""Blueprints: uploaded as an archive and read at once, so that the answer says what they are worth."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import sqlalchemy as sa
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import FileResponse

from outrider.dispatcher.store import blueprints
from outrider.dispatcher.store.schema import DEPLOYMENTS
from outrider.manager_stub.blueprint_upload import BlueprintUpload, take_in, validate
from outrider.manager_stub.bodies import MetadataBody, VisibilityBody, unusable
from outrider.manager_stub.calls import Call, Reader, Starter
from outrider.manager_stub.downloads import content_response
from outrider.manager_stub.errors import BadRequest, Missing
from outrider.manager_stub.listing import Listing, truth
from outrider.manager_stub.paging import answer_page
from outrider.manager_stub.resource import fetch_one, own_row
from outrider.manager_stub.resources import BLUEPRINT
from outrider.manager_stub.uploads import MAX_ICON_BYTES, work_folder
from outrider.manager_stub.wire import checked_id, checked_visibility, labels_stored

routes = APIRouter(tags=["blueprints"])

PNG = b"\x89PNG\r\n\x1a\n"


@routes.get("/blueprints")
async def list_blueprints(call: Reader, listing: Listing) -> Response:
    """List blueprints, without their plans."""
    return await answer_page(call, BLUEPRINT, listing)


@routes.put("/blueprints/{blueprint_id}", status_code=201)
async def upload_blueprint(call: Starter, blueprint_id: str, request: Request) -> dict[str, Any]:
    """Take a blueprint in: multipart with `params` and `blueprint_archive`, or the archive as the body.

    One with mistakes is kept in the state ``invalid`` for clients that wait for the state (``async_upload``), and
    refused for those that do not.
    """
    checked_id(blueprint_id, kind="blueprint", letter_first=True)
    with work_folder(call.manager.settings.work) as folder:
        body = folder / "archive"
        params = await _read_request(request, body)
        upload = BlueprintUpload(
            id=blueprint_id,
            archive=body,
            main_file=_main_name(params),
            keep_invalid=truth(str(params.get("async_upload"))),
            details={
                "visibility": checked_visibility(params.get("visibility")),
                "created_by": call.caller.user,
                "labels": labels_stored(params.get("labels")),
            },
        )
        await run_in_threadpool(take_in, call, upload, folder)
    return await run_in_threadpool(fetch_one, call, BLUEPRINT, blueprint_id)


@routes.put("/blueprints/{blueprint_id}/validate", status_code=201)
async def validate_blueprint(call: Starter, blueprint_id: str, request: Request) -> None:
    """Read a blueprint as an upload would, and keep nothing of it: an answer without an error means that it is good."""
    checked_id(blueprint_id, kind="blueprint", letter_first=True)
    with work_folder(call.manager.settings.work) as folder:
        body = folder / "archive"
        params = await _read_request(request, body)
        await run_in_threadpool(validate, call, body, _main_name(params), folder)


@routes.get("/blueprints/{blueprint_id}")
def get_blueprint(call: Reader, blueprint_id: str, listing: Listing) -> dict[str, Any]:
    """Return one blueprint with its plan."""
    return fetch_one(call, BLUEPRINT, blueprint_id, listing=replace(listing, flags={"_plan": "true"}))


@routes.get("/blueprints/{blueprint_id}/archive")
def download_blueprint(call: Reader, blueprint_id: str) -> FileResponse:
    """Return the archive as it was uploaded."""
    with call.read() as connection:
        found = fetch_one(call, BLUEPRINT, blueprint_id, connection=connection)
        stored = blueprints.get(connection, found["tenant_name"], blueprint_id)
    if stored.archive is None:
        raise Missing("archive of blueprint", blueprint_id)
    suffix = stored.details.get("archive_suffix") or "tar.gz"
    return content_response(call.manager, stored.archive, filename=f"{blueprint_id}.{suffix}")


@routes.patch("/blueprints/{blueprint_id}/icon")
async def change_icon(call: Starter, blueprint_id: str, request: Request) -> dict[str, Any]:
    """Give a blueprint a picture, a PNG as the body; an empty body takes it away."""
    content = await request.body()
    if content and not content.startswith(PNG):
        raise BadRequest("an icon is a PNG file")
    if len(content) > MAX_ICON_BYTES:
        raise BadRequest(f"the icon has {len(content)} bytes, more than the {MAX_ICON_BYTES} that one may have")

    def store() -> dict[str, Any]:
        sha256 = call.manager.content.put_bytes(content).sha256 if content else None
        return _change(call, blueprint_id, {"icon": sha256})

    return await run_in_threadpool(store)


@routes.get("/blueprints/{blueprint_id}/icon")
def get_icon(call: Reader, blueprint_id: str) -> FileResponse:
    """Return a blueprint's picture."""
    with call.read() as connection:
        found = fetch_one(call, BLUEPRINT, blueprint_id, connection=connection)
        icon = blueprints.get(connection, found["tenant_name"], blueprint_id).details.get("icon")
    if icon is None:
        raise Missing("icon of blueprint", blueprint_id)
    return content_response(call.manager, icon, filename="icon.png")


@routes.delete("/blueprints/{blueprint_id}", status_code=204)
def delete_blueprint(call: Starter, blueprint_id: str) -> None:
    """Delete a blueprint that no deployment uses."""
    with call.write() as connection:
        row = own_row(connection, call, BLUEPRINT, blueprint_id)
        query = sa.select(DEPLOYMENTS.c.id).where(
            DEPLOYMENTS.c.tenant == row.tenant, DEPLOYMENTS.c.blueprint_id == row.id
        )
        used_by = list(connection.execute(query).scalars())
        if used_by:
            text = f"blueprint {blueprint_id!r} is used by deployment {', '.join(used_by)}: delete them first"
            raise BadRequest(text, code="dependent_exists_error")
        blueprints.delete(connection, row.tenant, row.id)


@routes.patch("/blueprints/{blueprint_id}")
def change_blueprint(call: Starter, blueprint_id: str, body: MetadataBody) -> dict[str, Any]:
    """Change a blueprint's owner, labels or description."""
    sent = body.model_dump(exclude_unset=True)
    details: dict[str, Any] = {}
    if sent.get("creator") is not None:
        details["created_by"] = sent["creator"]
    if "labels" in sent:
        details["labels"] = labels_stored(sent["labels"])
    if sent.get("visibility"):
        details["visibility"] = sent["visibility"]
    return _change(call, blueprint_id, details, description=sent.get("description"))


@routes.patch("/blueprints/{blueprint_id}/set-visibility")
def set_visibility(call: Starter, blueprint_id: str, body: VisibilityBody) -> dict[str, Any]:
    """Change who sees a blueprint."""
    return _change(call, blueprint_id, {"visibility": body.visibility})


def _change(
    call: Call, blueprint_id: str, details: dict[str, Any], *, description: str | None = None
) -> dict[str, Any]:
    with call.write() as connection:
        own_row(connection, call, BLUEPRINT, blueprint_id)
        stored = blueprints.get(connection, call.tenant, blueprint_id)
        changed = replace(stored, details={**stored.details, **details}, description=description or stored.description)
        blueprints.save(connection, changed, now=call.now(connection))
        return fetch_one(call, BLUEPRINT, blueprint_id, connection=connection)


async def _read_request(request: Request, body: Path) -> dict[str, Any]:
    """Put the archive into `body` and return the parameters; raises BadRequest."""
    params = await _read_parts(request, body)
    _check_sent(params, body)
    return params


def _check_sent(params: Mapping[str, Any], body: Path) -> None:
    if not body.exists() or params.get("blueprint_archive_url"):
        raise BadRequest("blueprints are not fetched from URLs: upload the archive itself")


async def _read_parts(request: Request, body: Path) -> dict[str, Any]:
    if not request.headers.get("content-type", "").startswith("multipart/"):
        with body.open("wb") as file:
            async for chunk in request.stream():
                file.write(chunk)
        return dict(request.query_params)
    async with request.form(max_files=2, max_fields=20) as form:
        archive, params = form.get("blueprint_archive"), form.get("params")
        if isinstance(archive, UploadFile):
            with body.open("wb") as file:
                await run_in_threadpool(shutil.copyfileobj, archive.file, file)
        if isinstance(params, UploadFile):
            params = (await params.read()).decode("utf-8", "replace")
    try:
        parsed = json.loads(params or "{}")
    except ValueError as error:
        raise BadRequest("the part 'params' is not JSON") from error
    if not isinstance(parsed, dict):
        raise BadRequest("the part 'params' is not a JSON object")
    problem = unusable(parsed)
    if problem is not None:
        raise BadRequest(f"the part 'params' {problem}")
    return parsed


def _main_name(params: Mapping[str, Any]) -> str:
    return unquote(str(params.get("application_file_name") or "blueprint.yaml"))
