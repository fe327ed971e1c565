"""Plugins: wagons that were uploaded, by hash, and their plugin.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.errors import NotFound
from outrider.dispatcher.store import jsontext
from outrider.dispatcher.store.database import upsert
from outrider.dispatcher.store.schema import PLUGINS
from outrider.messaging.messages import WagonRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A row: one version of one package, with all its archives."""

    id: str
    package_name: str
    package_version: str
    wagons: tuple[WagonRef, ...]
    tenant: str = "default_tenant"
    yamls: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    uploaded_at: float = 0.0


def save(connection: Connection, plugin: Plugin) -> None:
    """Insert or replace a plugin version."""
    row = {name: getattr(plugin, name) for name in Plugin.__dataclass_fields__}
    row["wagons"] = jsontext.dump(
        [
            {"filename": w.filename, "sha256": w.sha256, "size_bytes": w.size_bytes, "tags": list(w.tags)}
            for w in plugin.wagons
        ]
    )
    row["yamls"] = jsontext.dump(plugin.yamls)
    row["details"] = jsontext.dump(plugin.details)
    upsert(connection, PLUGINS, row, keys=("id",))


def get(connection: Connection, plugin_id: str) -> Plugin:
    """Return one plugin; raises `NotFound`."""
    row = connection.execute(sa.select(PLUGINS).where(PLUGINS.c.id == plugin_id)).one_or_none()
    if row is None:
        raise NotFound("plugin", plugin_id)
    return _record(row)


def listed(connection: Connection, *, tenant: str | None = None, package_name: str | None = None) -> list[Plugin]:
    """Return plugins by name, oldest upload first."""
    query = sa.select(PLUGINS).order_by(PLUGINS.c.package_name, PLUGINS.c.uploaded_at)
    if tenant is not None:
        query = query.where(PLUGINS.c.tenant == tenant)
    if package_name is not None:
        query = query.where(PLUGINS.c.package_name == package_name)
    return [_record(row) for row in connection.execute(query)]


def delete(connection: Connection, plugin_id: str) -> None:
    """Forget a plugin; its archives stay in the files' folder until they are collected."""
    connection.execute(sa.delete(PLUGINS).where(PLUGINS.c.id == plugin_id))


def _record(row: Row[Any]) -> Plugin:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    wagons = jsontext.load(values["wagons"])
    values["wagons"] = tuple(WagonRef(w["filename"], w["sha256"], w["size_bytes"], tuple(w["tags"])) for w in wagons)
    values["yamls"] = jsontext.load(values["yamls"])
    values["details"] = jsontext.load(values["details"])
    return Plugin(**values)
