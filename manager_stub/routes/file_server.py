"""``/resources``: files of blueprints and deployments, by an execution's token or a person's."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import FileResponse

from outrider.dispatcher.errors import NotFound
from outrider.dispatcher.files import read_manifest
from outrider.dispatcher.store import blueprints, deployments
from outrider.manager_stub.calls import Reader
from outrider.manager_stub.downloads import content_response
from outrider.manager_stub.errors import Missing

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
def deployment_index(call: Reader, file_tenant: str, deployment_id: str) -> dict[str, Any]:
    """Return the index of a deployment's own files, of which there are none: operations keep theirs on their host."""
    with call.read() as connection:
        deployments.get(connection, (file_tenant, deployment_id))
    return {}


@routes.get("/deployments/{file_tenant}/{deployment_id}/{path:path}")
def deployment_file(call: Reader, file_tenant: str, deployment_id: str, path: str) -> None:
    """Answer that a deployment has no such file of its own; clients go on with its blueprint's."""
    with call.read() as connection:
        deployments.get(connection, (file_tenant, deployment_id))
    raise NotFound(f"file of deployment {deployment_id!r}", path)
