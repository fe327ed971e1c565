"""What the OpenAPI document says beyond the routes' signatures: list parameters, credentials, errors, uploads.

Served as ``/openapi.json``; the API reference is written from it, and its tests send what it describes.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, APIRouter

from outrider.manager_stub.calls import Requires
from outrider.manager_stub.listing import LARGEST_PAGE, PAGE, read_listing

Json = dict[str, Any]

_SCHEMES: Json = {
    "password": {"type": "http", "scheme": "basic"},
    "token": {"type": "apiKey", "in": "header", "name": "Authentication-Token"},
    "executionToken": {"type": "apiKey", "in": "header", "name": "Execution-Token"},
}
_ERROR: Json = {
    "description": "An error",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["message", "error_code", "server_traceback"],
                "properties": {
                    "message": {"type": "string"},
                    "error_code": {"type": "string"},
                    "server_traceback": {"type": "string", "nullable": True},
                },
            }
        }
    },
}
_TENANT: Json = {
    "name": "Tenant",
    "in": "header",
    "description": "The tenant that the request is about.",
    "schema": {"type": "string", "default": "default_tenant"},
}


def _query(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


_LISTING: list[Json] = [
    _query("_size", {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": PAGE}, "Items on a page."),
    _query("_offset", {"type": "integer", "minimum": 0, "default": 0}, "Items before the page."),
    _query("_sort", {"type": "array", "items": {"type": "string"}}, "Fields to sort by; a leading - sorts downwards."),
    _query("_include", {"type": "string"}, "Only these fields, separated by commas."),
    _query("_search", {"type": "string"}, "A part of the name."),
    _query("_all_tenants", {"type": "boolean", "default": False}, "Of all tenants that the caller belongs to."),
    _query("_get_all_results", {"type": "boolean", "default": False}, "Everything on one page."),
]
#: Uploads are read as streams, so their routes have no body that the framework could describe.
_BINARY: Json = {"schema": {"type": "string", "format": "binary"}}
_UPLOADS: dict[tuple[str, str], Json] = {
    ("post", "/plugins"): {"content": {"application/octet-stream": _BINARY}},
    ("put", "/blueprints/{blueprint_id}"): {
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "params": {"type": "string", "description": "JSON: application_file_name, visibility, labels"},
                        "blueprint_archive": _BINARY["schema"],
                    },
                }
            },
            "application/octet-stream": _BINARY,
        }
    },
}


def install(app: FastAPI, routers: list[tuple[str, APIRouter]]) -> None:
    """Make the application serve the completed document; `routers` are its routers with their prefixes."""

    def document() -> Json:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, routes=app.routes)
            made["components"]["securitySchemes"] = _SCHEMES
            for prefix, router in routers:
                for route in router.routes:
                    if isinstance(route, APIRoute) and route.include_in_schema:
                        _complete(made["paths"][prefix + route.path_format], route)
            app.openapi_schema = made
        return app.openapi_schema

    # FastAPI's documented way to extend the document.
    app.openapi = document  # type: ignore[method-assign]


def _complete(path: Json, route: APIRoute) -> None:
    for method in route.methods or ():
        operation: Json = path[method.lower()]
        operation["responses"].pop("422", None)  # such requests are answered with 400 and the envelope
        operation["responses"]["default"] = _ERROR
        if _depends(route.dependant, Requires):
            operation["security"] = [{name: []} for name in _SCHEMES]
            operation.setdefault("parameters", []).append(_TENANT)
        if _depends(route.dependant, read_listing):
            operation.setdefault("parameters", []).extend(_LISTING)
        upload = _UPLOADS.get((method.lower(), route.path_format))
        if upload is not None:
            operation["requestBody"] = upload


def _depends(dependant: Dependant, wanted: Any) -> bool:
    call = dependant.call
    if call is wanted or (isinstance(wanted, type) and isinstance(call, wanted)):
        return True
    return any(_depends(each, wanted) for each in dependant.dependencies)
