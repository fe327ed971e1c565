"""What clients ask about the manager itself: is it there, which parts has it, how is it configured.

A manager is shown as one host with one broker and one database, whatever stands behind it: clients take anything else
for a cluster of their own kind and change how they talk to it.
"""

from __future__ import annotations

import platform
from typing import Any

from fastapi import APIRouter, Request

from outrider.manager_stub.calls import Person, Reader
from outrider.manager_stub.errors import Missing
from outrider.manager_stub.listing import Listing, whole_list

routes = APIRouter(tags=["system"])
#: Outside of the version's prefix.
unversioned = APIRouter(tags=["system"])
#: Behind all others.
missing = APIRouter(include_in_schema=False)

#: The release whose wire protocol this is; clients compare it with their own.
COMPATIBLE = {"edition": "community", "version": "7.0.5", "build": None, "date": None, "commit": None}


@unversioned.get("/api/version")
@unversioned.get("/api/v3.1/version", include_in_schema=False)
def version() -> dict[str, Any]:
    """Return which release's protocol is spoken."""
    return {**COMPATIBLE, "distribution": platform.system().lower(), "distro_release": "outrider"}


@missing.api_route("/api/{path:path}", methods=["GET", "PUT", "POST", "PATCH", "DELETE"])
def not_offered(path: str) -> None:
    """Answer for the rest of the ecosystem's API, which Outrider does not have."""
    raise Missing("resource", f"/api/{path[:200]}")


@routes.get("/status")
def status(call: Person) -> dict[str, Any]:
    """Return whether the parts work."""
    wrong = call.manager.healthy()
    services = {"Manager": True, "Dispatcher": not wrong, "Database": True, "Broker": not wrong}
    return {
        "status": "OK" if not wrong else "FAIL",
        "services": {
            label: {"status": "Active" if works else "Inactive", "is_remote": False, "extra_info": {}}
            for label, works in services.items()
        },
    }


@routes.get("/maintenance")
def maintenance(_call: Reader) -> dict[str, Any]:
    """Return the maintenance mode, which there is not: upgrades need no pause."""
    return {
        "status": "deactivated",
        "activated_at": "",
        "remaining_executions": None,
        "requested_by": "",
        "activation_requested_at": "",
    }


@routes.get("/provider/context")
def provider_context(_call: Reader) -> dict[str, Any]:
    """Return the context that operations read defaults from."""
    return {"name": "provider", "context": {"cloudify": {"workflows": {}, "cloudify_agent": {}}}}


@routes.get("/managers")
def managers(call: Reader, request: Request) -> dict[str, Any]:
    """Return the one manager."""
    host = _host(request)
    record = {
        "id": 1,
        "hostname": platform.node(),
        "private_ip": host,
        "public_ip": host,
        "version": COMPATIBLE["version"],
        "edition": COMPATIBLE["edition"],
        "distribution": platform.system().lower(),
        "distro_release": "outrider",
        "fs_sync_node_id": None,
        "networks": {"default": host},
        "ca_cert_content": _authority(call),
    }
    return whole_list([record])


@routes.get("/brokers")
def brokers(call: Reader, request: Request) -> dict[str, Any]:
    """Return the one broker; agents are told about accounts by the installer, not here."""
    host = _host(request)
    record = {
        "name": host,
        "host": host,
        "port": 5671,
        "params": {},
        "networks": {"default": host},
        "is_external": False,
        "ca_cert_content": _authority(call),
        "username": None,
        "password": None,
        "management_host": host,
    }
    return whole_list([record])


@routes.get("/db-nodes")
def database_nodes(_call: Reader, request: Request) -> dict[str, Any]:
    """Return the one database."""
    return whole_list([{"name": _host(request), "host": _host(request), "is_external": False}])


@routes.get("/config")
def config(_call: Reader, listing: Listing) -> dict[str, Any]:
    """Return the limits that clients keep to."""
    scopes = listing.filters.get("scope")
    return whole_list([each for each in _config() if scopes is None or each["scope"] in scopes])


@routes.get("/config/{name}")
def config_item(_call: Reader, name: str) -> dict[str, Any]:
    """Return one of these limits, by its name or as ``scope.name``."""
    found = next((each for each in _config() if name in (each["name"], f"{each['scope']}.{each['name']}")), None)
    if found is None:
        raise Missing("config", name)
    return found


@routes.get("/idp")
def identity_provider(_call: Reader) -> str:
    """Return who checks passwords: the manager itself."""
    return "local"


@routes.get("/license-check")
def license_check(_call: Reader) -> str:
    """Return what clients of another edition ask for before uploads."""
    return "OK"


@routes.get("/cluster-status")
def cluster_status(call: Reader) -> dict[str, Any]:
    """Return the state of the whole."""
    return {"status": "OK" if not call.manager.healthy() else "FAIL", "services": {}}


def _config() -> list[dict[str, Any]]:
    limits = {"blueprint_folder_max_size_mb": 256, "blueprint_folder_max_files": 10_000}
    return [
        {
            "name": name,
            "value": value,
            "scope": "rest",
            "schema": {"type": "number"},
            "is_editable": False,
            "admin_only": False,
            "updated_at": None,
            "updater_name": None,
        }
        for name, value in limits.items()
    ]


def _host(request: Request) -> str:
    return request.url.hostname or "127.0.0.1"


def _authority(call: Reader) -> str | None:
    authority = call.manager.settings.authority
    return authority.read_text(encoding="utf-8") if authority else None
