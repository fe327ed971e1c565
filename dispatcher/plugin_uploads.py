"""Takes plugins in: a wagon's file into the content store, its record into the table of plugins.

Called by the command line (`plugin install`, blueprints with ``source:``) and by the manager's upload.
"""

from __future__ import annotations

import tempfile
import uuid
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy.engine import Connection

from outrider.dispatcher.errors import AlreadyExists
from outrider.dispatcher.files.content import ContentStore
from outrider.dispatcher.store import deployments, plugins
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.plugins import Plugin
from outrider.messaging.messages import WagonRef
from outrider.plugins.wagons import Wagon, read_wagon, wagon_tags
from outrider.plugins.wagons.scripts import entry_point_names
from outrider.plugins.wagons.wagon import extract_wheels
from outrider.plugins.wagons.wheelname import normalize

#: Plugin descriptions inside a distribution's wheel, by the ecosystem's names.
YAML_NAMES = ("plugin.yaml", "plugin_1_3.yaml", "plugin_1_4.yaml", "plugin_1_5.yaml", "v2_plugin.yaml")
#: Where a distribution lists the functions that it would add to the parser of blueprints.
FUNCTIONS_GROUP = "cloudify.tosca.ext.functions"
#: A description is a text that somebody wrote.
MAX_YAML_BYTES = 8 * 1024 * 1024


def store_wagon(files: ContentStore, wagon: Wagon) -> WagonRef:
    """Put a wagon's file into the content store; returns what a message names it by."""
    stored = files.put_file(wagon.path, expected=wagon.sha256)
    return WagonRef(wagon.path.name, stored.sha256, wagon.size_bytes, wagon_tags(wagon))


def register(
    database: Database,
    files: ContentStore,
    path: Path,
    *,
    yamls: Mapping[str, str] | None = None,
    tenant: str = "default_tenant",
    details: Mapping[str, Any] | None = None,
    replace: bool = False,
) -> Plugin:
    """Verify a wagon and make its plugin version known; a further wagon of a known version joins it.

    With `replace`, the known version's wagons and descriptions are forgotten instead, for those who edit and try.
    `yamls`: file name → text of the plugin.yaml files; None takes those that lie in the plugin's own wheel.
    Raises `WagonError` if the archive is not sound, `AlreadyExists` if this very archive is registered.
    """
    wagon = read_wagon(path)
    found = yamls if yamls is not None else yamls_in(wagon)
    functions = functions_in(wagon)
    reference = store_wagon(files, wagon)
    with database.begin() as connection:
        now = database.now(connection)
        known = {
            plugin.package_version: plugin
            for plugin in plugins.listed(connection, tenant=tenant, package_name=wagon.name)
        }.get(wagon.version)
        if known is not None and replace:
            plugins.delete(connection, known.id)
            known = None
        if known is not None and any(other.sha256 == reference.sha256 for other in known.wagons):
            raise AlreadyExists("wagon", f"{reference.filename} of plugin {wagon.name} {wagon.version}")
        plugin = Plugin(
            id=known.id if known is not None else str(uuid.uuid4()),
            tenant=tenant,
            package_name=wagon.name,
            package_version=wagon.version,
            wagons=(*(known.wagons if known is not None else ()), reference),
            yamls={**(known.yamls if known is not None else {}), **found},
            details={**(known.details if known is not None else {}), **(details or {})}
            | ({"functions": list(functions)} if functions else {}),
            uploaded_at=known.uploaded_at if known is not None else now,
        )
        plugins.save(connection, plugin)
    return plugin


def built_record(wagon: Wagon, reference: WagonRef) -> dict[str, Any]:
    """Return how a deployment remembers a plugin that was built from its ``source:``."""
    return {
        "name": wagon.name,
        "version": wagon.version,
        "wagons": [
            {
                "filename": reference.filename,
                "sha256": reference.sha256,
                "size_bytes": reference.size_bytes,
                "tags": list(reference.tags),
            }
        ],
    }


def wagons_in_use(connection: Connection) -> set[str]:
    """Return the hashes of all wagons that a known plugin or a deployment names."""
    known = {wagon.sha256 for plugin in plugins.listed(connection) for wagon in plugin.wagons}
    return known | deployments.built_wagons(connection)


def yamls_in(wagon: Wagon) -> dict[str, str]:
    """Return the plugin.yaml files that the plugin's own wheels carry, by name."""
    return _texts_in(wagon, YAML_NAMES)


def functions_in(wagon: Wagon) -> tuple[str, ...]:
    """Return the functions that the plugin would add to a parser of blueprints; a blueprint that uses one is refused.

    Only their names are read: the plugin's code runs in its own environment on agents, nowhere else.
    """
    try:
        return entry_point_names(_texts_in(wagon, ("entry_points.txt",)).get("entry_points.txt", ""), FUNCTIONS_GROUP)
    except ValueError:
        # The agent that installs the wheel says what is wrong with it; a blueprint cannot be refused for that.
        return ()


def _texts_in(wagon: Wagon, names: Collection[str]) -> dict[str, str]:
    own = tuple(wheel for wheel in wagon.wheels if wheel.name.key == normalize(wagon.name))
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="outrider-plugin-") as folder:
        extract_wheels(wagon, own[:1], Path(folder))
        for wheel in own[:1]:
            with zipfile.ZipFile(Path(folder) / wheel.name.filename) as archive:
                for member in archive.infolist():
                    name = PurePosixPath(member.filename).name
                    if name in names and name not in found and member.file_size <= MAX_YAML_BYTES:
                        found[name] = archive.read(member).decode("utf-8", errors="replace")
    return found
