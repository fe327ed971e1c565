"""Plugins on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.store import jsontext
from outrider.manager_stub.listing import ListCall
from outrider.manager_stub.wire import ownership, time_text


def plugins(_connection: Connection, rows: Sequence[Row[Any]], _listing: ListCall) -> list[dict[str, Any]]:
    """Return plugin records."""
    return [_plugin(row) for row in rows]


def _plugin(row: Row[Any]) -> dict[str, Any]:
    details: Mapping[str, Any] = jsontext.load(row.details)
    wagons: list[Mapping[str, Any]] = jsontext.load(row.wagons)
    yamls = sorted(jsontext.load(row.yamls))
    first = wagons[0] if wagons else {"filename": "", "tags": ()}
    return {
        "id": row.id,
        "package_name": row.package_name,
        "package_version": row.package_version,
        "archive_name": first["filename"],
        "package_source": f"{row.package_name}=={row.package_version}",
        "supported_platform": details.get("supported_platform") or "any",
        "supported_py_versions": list(details.get("pythons") or ()),
        "distribution": None,
        "distribution_version": None,
        "distribution_release": None,
        "wheels": list(details.get("wheels") or ()),
        "excluded_wheels": [],
        "uploaded_at": time_text(row.uploaded_at),
        "title": details.get("title") or row.package_name,
        "yaml_files_paths": yamls,
        "yaml_url_path": f"plugin:{row.package_name}" if yamls else "",
        "blueprint_labels": details.get("blueprint_labels"),
        "labels": details.get("labels"),
        "resource_tags": details.get("resource_tags"),
        "installation_state": list((details.get("installation_state") or {}).values()),
        **ownership(details, row.tenant, row.uploaded_at),
        #: Beyond the ecosystem's fields: all archives of this version.
        "wagons": wagons,
    }
