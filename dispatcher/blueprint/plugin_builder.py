"""Builds the ``plugins`` section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import key_mark, value_mark
from outrider.dispatcher.blueprint.model import Plugin
from outrider.dispatcher.blueprint.operations import EXECUTORS
from outrider.dispatcher.blueprint.problems import Problems, nearest
from outrider.dispatcher.blueprint.values import Values

_FIELDS = (
    "install_arguments",
    "package_name",
    "package_version",
    "supported_platform",
    "distribution",
    "distribution_version",
    "distribution_release",
    "properties_description",
)


def build_plugins(section: Any, values: Values, problems: Problems) -> dict[str, Plugin]:
    """Return the plugins; one whose entry is wrong is kept, so that operations still find it."""
    built = {}
    for name, entry in (section if isinstance(section, dict) else {}).items():
        built[name] = _plugin(name, entry or {}, section, values, problems)
    return built


def _plugin(name: str, entry: Mapping[str, Any], section: Any, values: Values, problems: Problems) -> Plugin:
    at = key_mark(section, name)
    executor = entry.get("executor")
    if executor is None:
        problems.add(Kind.FORMAT, f"plugins.{name} lacks the key 'executor' (one of {', '.join(EXECUTORS)})", at=at)
    elif executor not in EXECUTORS:
        message = f"plugins.{name} has the executor {executor!r}; it is one of {', '.join(EXECUTORS)}"
        mark, meant = value_mark(entry, "executor"), nearest(str(executor), EXECUTORS)
        problems.add(Kind.EXECUTOR, message, at=mark, suggestion=meant)
    install = entry.get("install")
    install = True if install is None else install
    if install and not entry.get("source") and not entry.get("package_name"):
        message = f"plugins.{name} is to be installed and states neither package_name nor source"
        problems.add(Kind.PLUGIN_SOURCE_MISSING, message, at=at)
    properties = entry.get("properties") or {}
    for key, schema in properties.items():
        if isinstance(schema, dict):
            values.check_type_name(schema, "type", what=f"plugins.{name}.properties.{key}")
            if "value" in schema:
                what = f"plugins.{name}.properties.{key}"
                values.check(schema["value"], schema, what=what, at=value_mark(schema, "value"))
    record: dict[str, Any] = {"source": entry.get("source"), "executor": executor or EXECUTORS[0], "install": install}
    for key in _FIELDS:
        value = entry.get(key)
        text = value is not None and key.endswith("version")
        record[key] = str(value) if text else value
    return Plugin(name=name, record={**record, "properties": properties, "name": name}, at=at)
