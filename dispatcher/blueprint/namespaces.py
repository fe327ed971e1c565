"""Namespaces: every name that a file defines, and every reference to such a name, gets the prefix ``ns--``.

Names that begin with ``cloudify.``, and the plugins of the built-in types, belong to all blueprints and stay as they
are. Values of properties are data: only functions inside them are renamed.
"""

from __future__ import annotations

from typing import Any

from outrider.dispatcher.blueprint.functions.names import function_name
from outrider.dispatcher.blueprint.located import Map, Seq
from outrider.dispatcher.blueprint.resolver import is_url
from outrider.dispatcher.blueprint.values import BUILT_IN_TYPES

SEPARATOR = "--"
BUILT_IN_PLUGINS = frozenset({"script", "agent", "cfy_extensions", "default_workflows"})
_WORDS = frozenset({"SELF", "SOURCE", "TARGET"})
#: Functions whose first argument is a name of the blueprint.
_NAMING = frozenset({"get_input", "get_property", "get_attribute", "get_attributes_list", "get_attributes_dict"})
#: Sections whose keys are names.
_NAMED = frozenset(
    {
        *("inputs", "outputs", "capabilities", "labels", "blueprint_labels", "resource_tags", "node_templates"),
        *("node_types", "relationships", "data_types", "groups", "policies", "policy_types", "policy_triggers"),
        *("plugins", "workflows"),
    }
)
#: Keys below which a text is a name of the blueprint.
_NAME_KEYS = frozenset({"derived_from", "target"})
_IMPLEMENTATION_KEYS = frozenset({"implementation", "mapping"})
_INTERFACE_KEYS = frozenset({"interfaces", "source_interfaces", "target_interfaces"})


def apply_namespace(tree: Map, namespace: str) -> Map:
    """Return a document's tree with its names and references renamed."""
    return _Renamer(namespace).document(tree)


class _Renamer:
    def __init__(self, namespace: str) -> None:
        self._prefix = namespace + SEPARATOR

    def name(self, name: Any) -> Any:
        """Prefix a name, unless it belongs to all blueprints."""
        if not isinstance(name, str) or name.startswith("cloudify.") or name in BUILT_IN_PLUGINS:
            return name
        return self._prefix + name

    def document(self, tree: Map) -> Map:
        renamed = Map(tree.mark)
        for section, value in tree.items():
            if section in _NAMED and isinstance(value, Map):
                renamed.put(section, self._section(section, value), origin=tree)
            elif section == "deployment_settings":
                renamed.put(section, self.data(value), origin=tree)
            else:
                renamed.put(section, value, origin=tree)
        return renamed

    def _section(self, section: str, entries: Map) -> Map:
        renamed = Map(entries.mark)
        for name, entry in entries.items():
            new = self.name(name)
            if section == "workflows" and isinstance(entry, str):
                renamed[new] = self.implementation(entry)
            elif section == "resource_tags":
                renamed[new] = self.data(entry)
            else:
                renamed[new] = self._element(section, entry)
            if name in entries.entries_at:
                renamed.entries_at[new] = entries.entries_at[name]
        return renamed

    def _element(self, section: str, entry: Any) -> Any:
        if not isinstance(entry, Map):
            return entry
        renamed = Map(entry.mark)
        for key, value in entry.items():
            renamed.put(key, self._field(section, key, value), origin=entry)
        return renamed

    def _field(self, section: str, key: str, value: Any) -> Any:  # noqa: PLR0911 - one line per kind of field
        if key in _NAME_KEYS:
            return self.name(value)
        if key in _IMPLEMENTATION_KEYS:
            return self.implementation(value)
        if key in _INTERFACE_KEYS:
            return self._interfaces(value)
        if key in {"type", "item_type"}:
            return self.type_name(value) if section in {"inputs", "data_types", "plugins"} else self.name(value)
        if key in {"members", "targets"} and isinstance(value, list):
            return self._each(value, self.name)
        if key == "relationships" and isinstance(value, list):
            return self._each(value, lambda item: self._element("relationship", item))
        if key == "policies" and section == "groups":
            return self._table(value, lambda item: self._element("group policy", item))
        if key == "triggers":
            return self._table(value, lambda item: self._element("trigger", item))
        if key in {"properties", "parameters"} and section not in {
            "node_templates",
            "relationship",
            "group policy",
            "trigger",
        }:
            return self._schemas(value) if section != "policies" else self.data(value)
        return self.data(value)

    def _schemas(self, value: Any) -> Any:
        return self._table(value, self._schema)

    def _schema(self, value: Any) -> Any:
        if not isinstance(value, Map):
            return self.data(value)
        renamed = Map(value.mark)
        for key, item in value.items():
            renamed.put(key, self.type_name(item) if key in {"type", "item_type"} else self.data(item), origin=value)
        return renamed

    def _interfaces(self, value: Any) -> Any:
        return self._table(value, lambda operations: self._table(operations, self._operation))

    def _operation(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.implementation(value)
        if not isinstance(value, Map):
            return value
        renamed = Map(value.mark)
        for key, item in value.items():
            if key == "implementation":
                renamed.put(key, self.implementation(item), origin=value)
            elif key == "inputs" and isinstance(item, Map) and _are_schemas(item):
                renamed.put(key, self._schemas(item), origin=value)
            else:
                renamed.put(key, self.data(item), origin=value)
        return renamed

    def _table(self, value: Any, change: Any) -> Any:
        if not isinstance(value, Map):
            return value
        renamed = Map(value.mark)
        for key, item in value.items():
            renamed.put(key, change(item), origin=value)
        return renamed

    def _each(self, value: Any, change: Any) -> Seq:
        renamed = Seq(getattr(value, "mark", None))
        renamed.extend(change(item) for item in value)
        renamed.items_at = list(getattr(value, "items_at", []))
        return renamed

    def type_name(self, value: Any) -> Any:
        """Prefix a data type's name."""
        return value if value in BUILT_IN_TYPES else self.name(value)

    def implementation(self, value: Any) -> Any:
        """Prefix a plugin's or a script's name; URLs and inline text are no names."""
        if not isinstance(value, str) or not value or "\n" in value or is_url(value):
            return value
        return value if value.partition(".")[0] in BUILT_IN_PLUGINS else self.name(value)

    def data(self, value: Any) -> Any:
        """Rename what functions inside a value refer to."""
        if isinstance(value, Map):
            name = function_name(value)
            renamed = Map(value.mark)
            for key, item in value.items():
                changed = self._arguments(item) if key == name and name in _NAMING else self.data(item)
                renamed.put(key, changed, origin=value)
            return renamed
        return self._each(value, self.data) if isinstance(value, list) else value

    def _arguments(self, arguments: Any) -> Any:
        if isinstance(arguments, str):
            return self.name(arguments)
        renamed = self.data(arguments)
        if isinstance(renamed, list) and renamed and isinstance(renamed[0], str) and renamed[0] not in _WORDS:
            renamed[0] = self.name(renamed[0])
        return renamed


def _are_schemas(inputs: Map) -> bool:
    """Whether an operation's inputs are a type's schemas, or a template's values."""
    known = {"type", "default", "description", "required", "display_label", "hidden", "item_type", "constraints"}
    return all(isinstance(item, dict) and set(item) <= known for item in inputs.values())
