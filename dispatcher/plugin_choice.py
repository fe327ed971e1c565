"""Which plugin version an operation gets: built in, built from source beforehand, or the newest that fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version
from sqlalchemy.engine import Connection

from outrider.dispatcher.errors import OperationRefused
from outrider.dispatcher.store import plugins
from outrider.dispatcher.store.plugins import Plugin
from outrider.messaging.messages import Mode, PluginRef, WagonRef
from outrider.messaging.version import __version__

Json = Mapping[str, Any]

#: Plugins that come with every agent.
BUILTIN = frozenset({"script", "agent", "cfy_extensions", "default_workflows"})

#: What an agent imports ahead for one plugin; any further module is imported when its first operation comes.
MOST_MODULES = 50
_SIDES = ("source", "target")


def choose(connection: Connection, tenant: str, entry: Json, built: Json) -> PluginRef:
    """Return the plugin that a plan's entry means.

    `built`: plugin name → what was built from its ``source:`` when the deployment was made (version, wagons).
    Raises `OperationRefused` with what is missing.
    """
    name = entry["name"]
    if name in built:
        return _built(name, entry, built[name])
    if entry.get("built"):
        # One operation on an agent has no deployment that could remember what was built for it.
        return _built(name, {key: value for key, value in entry.items() if key != "built"}, entry["built"])
    if entry.get("package_name"):
        return _managed(connection, tenant, entry)
    if name in BUILTIN or entry.get("install") is False:
        return PluginRef(name, __version__, builtin=True, details=entry)
    if entry.get("source"):
        raise OperationRefused(
            f"plugin {name!r} is named by source {entry['source']!r}, and was not built when the deployment was made"
        )
    raise OperationRefused(f"plugin {name!r} is neither built in nor has it a package_name or a source")


def modules_of(name: str, nodes: Iterable[Json]) -> tuple[str, ...]:
    """Return the modules that the operations of a plugin live in, over all nodes of a plan; the most used first."""
    found: Counter[str] = Counter()
    for node in nodes:
        sides = [each.get(f"{side}_operations") for each in node.get("relationships") or () for side in _SIDES]
        for records in (node.get("operations"), *sides):
            # Each operation is there twice: by its full name, and by the last part of it.
            for record in {id(each): each for each in (records or {}).values()}.values():
                if record["plugin"] == name and record["operation"]:
                    found[record["operation"].rpartition(".")[0]] += 1
    return tuple(module for module, _ in found.most_common(MOST_MODULES))


def newest(candidates: Iterable[Plugin], wanted: str | None) -> Plugin | None:
    """Return the newest candidate that fits `wanted`: a version, or specifiers such as ``>=1.2,<2``."""
    found = [each for each in candidates if _fits(each.package_version, wanted)]
    return max(found, key=lambda each: _version(each.package_version), default=None)


def _managed(connection: Connection, tenant: str, entry: Json) -> PluginRef:
    package, wanted = entry["package_name"], entry.get("package_version")
    candidates = plugins.listed(connection, tenant=tenant, package_name=package)
    chosen = newest(candidates, wanted)
    if chosen is None:
        there = ", ".join(each.package_version for each in candidates) or "none"
        raise OperationRefused(
            f"plugin {entry['name']!r} needs {package} {wanted or '(any version)'}, which is not uploaded "
            f"(there: {there}); upload its wagon"
        )
    mode = Mode(chosen.details.get("mode", Mode.FORK.value))
    return PluginRef(package, chosen.package_version, wagons=chosen.wagons, mode=mode, details=entry)


def _built(name: str, entry: Json, built: Json) -> PluginRef:
    wagons = tuple(
        WagonRef(each["filename"], each["sha256"], each["size_bytes"], tuple(each.get("tags", ())))
        for each in built["wagons"]
    )
    mode = Mode(built.get("mode", Mode.FORK.value))
    return PluginRef(built.get("name", name), built["version"], wagons=wagons, mode=mode, details=entry)


def _fits(version: str, wanted: str | None) -> bool:
    if not wanted or version == wanted:
        return True
    try:
        return Version(version) in SpecifierSet(wanted, prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return False


def _version(text: str) -> tuple[int, Version | str]:
    try:
        return 1, Version(text)
    except InvalidVersion:
        return 0, text
