"""What an import of a plugin adds to its yaml: values of plugin properties, and labels of the uploaded record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outrider.dispatcher.blueprint.functions import is_function
from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import Map, key_mark, value_mark
from outrider.dispatcher.blueprint.problems import Problems, nearest
from outrider.dispatcher.blueprint.settings import CataloguePlugin
from outrider.dispatcher.blueprint.shapes import describe_value
from outrider.dispatcher.blueprint.values import fits

#: Sections that come from the record, because an operator may change them after the upload.
_OF_RECORD = ("labels", "blueprint_labels", "resource_tags")


def with_record(tree: Map, plugin: CataloguePlugin) -> Map:
    """Return a plugin's tree with the labels and tags of its uploaded record instead of its own."""
    changed = _copy(tree)
    for section in _OF_RECORD:
        changed.pop(section, None)
        value: Mapping[str, Any] = getattr(plugin, section)
        if value:
            changed[section] = _as_map(value)
    return changed


def with_properties(tree: Map, properties: Mapping[str, Any], problems: Problems) -> Map:
    """Return a file's tree with values set for the properties that its plugins declare."""
    plugins = tree.get("plugins")
    if not properties or not isinstance(plugins, Map):
        for name in properties:
            _unknown(name, properties, [], problems)
        return tree
    declared = {name for entry in plugins.values() if isinstance(entry, dict) for name in entry.get("properties") or {}}
    for name in properties:
        if name not in declared:
            _unknown(name, properties, sorted(declared), problems)
    changed, changed_plugins = _copy(tree), _copy(plugins)
    for plugin, entry in plugins.items():
        if isinstance(entry, Map) and isinstance(entry.get("properties"), Map):
            changed_plugins[plugin] = _copy(entry)
            changed_plugins[plugin]["properties"] = _with_values(entry["properties"], properties, problems)
    changed["plugins"] = changed_plugins
    return changed


def _with_values(schemas: Map, values: Mapping[str, Any], problems: Problems) -> Map:
    changed = _copy(schemas)
    for name, schema in schemas.items():
        if name not in values or not isinstance(schema, Map):
            continue
        value, type_name = values[name], schema.get("type")
        if type_name is not None and not is_function(value) and not _suits(value, str(type_name)):
            message = f"the plugin property {name!r} must be of type {type_name}, not {describe_value(value)}"
            problems.add(Kind.PLUGIN_PROPERTY, message, at=value_mark(values, name))
            continue
        changed[name] = _copy(schema)
        changed[name].put("value", value, origin={})
    return changed


def _suits(value: Any, type_name: str) -> bool:
    if type_name == "string":
        return isinstance(value, str)
    return fits(value, type_name)


def _unknown(name: str, properties: Mapping[str, Any], declared: list[str], problems: Problems) -> None:
    message = f"the import sets {name!r}, which is no property of the plugin"
    problems.add(Kind.PLUGIN_PROPERTY, message, at=key_mark(properties, name), suggestion=nearest(name, declared))


def _copy(origin: Map) -> Map:
    copied = Map(origin.mark)
    for key, value in origin.items():
        copied.put(key, value, origin=origin)
    return copied


def _as_map(value: Mapping[str, Any]) -> Map:
    made = Map()
    for key, item in value.items():
        made[key] = item
    return made
