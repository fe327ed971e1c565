"""Builds data types, node types and relationship types: derivation, with the mistakes that it can hold."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Optional

from outrider.dispatcher.blueprint.functions import is_function
from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import Map, key_mark, value_mark
from outrider.dispatcher.blueprint.model import NodeType, RelationshipType
from outrider.dispatcher.blueprint.operations import Interfaces, derive_interfaces, read_interfaces
from outrider.dispatcher.blueprint.problems import Problems, nearest
from outrider.dispatcher.blueprint.values import PRIMITIVES, Values, over_default


class Derivation:
    """Orders the entries of a section so that parents come before their children."""

    def __init__(self, section: str, entries: Mapping[str, Any], problems: Problems) -> None:
        self._section = section
        self._entries = entries
        self._problems = problems

    def order(self) -> list[str]:
        """Return the names whose parents all exist, parents first; findings for the others."""
        states: dict[str, bool] = {}
        ordered: list[str] = []
        for name in self._entries:
            self._visit(name, states, ordered)
        return ordered

    def _visit(self, name: str, states: dict[str, bool], ordered: list[str]) -> None:
        chain: list[str] = []
        current: Optional[str] = name
        while current is not None and current not in states:
            if current in chain:
                self._cycle([*chain[chain.index(current) :], current])
                states.update(dict.fromkeys(chain, False))
                return
            chain.append(current)
            parent = (self._entries[current] or {}).get("derived_from")
            if parent is not None and parent not in self._entries:
                self._missing(current, parent)
                parent = None
                states[current] = False
            current = parent
        good = states.get(current, False) if current is not None else True
        for item in reversed(chain):
            good = good and states.get(item, True)
            states[item] = good
            if good:
                ordered.append(item)
            else:
                self._problems.broken.add((self._section, item))

    def _cycle(self, names: list[str]) -> None:
        kind = Kind.DATA_TYPE_CYCLE if self._section == "data_types" else Kind.TYPE_CYCLE
        at = value_mark(self._entries[names[0]], "derived_from")
        self._problems.add(kind, f"{self._section} derive from themselves: {' → '.join(names)}", at=at)
        self._problems.broken.update((self._section, name) for name in names)

    def _missing(self, name: str, parent: str) -> None:
        if (self._section, parent) in self._problems.broken:
            return
        message = f"{self._section}: {name!r} derives from {parent!r}, which is not defined"
        at = value_mark(self._entries[name], "derived_from")
        self._problems.add(Kind.PARENT_UNKNOWN, message, at=at, suggestion=nearest(parent, self._entries))


def build_data_types(section: Any, problems: Problems) -> dict[str, Map]:
    """Return data type -> property schemas, parents' included."""
    entries = section if isinstance(section, dict) else {}
    usable = Map()
    for name, entry in entries.items():
        if name in PRIMITIVES:
            message = f"{name!r} is a primitive type and cannot be redefined"
            problems.add(Kind.DATA_TYPE_REDEFINED, message, at=key_mark(entries, name))
        else:
            usable.put(name, entry or {}, origin=entries)
    built: dict[str, Map] = {}
    written = {name: usable[name].get("properties") or {} for name in usable}
    for name in Derivation("data_types", usable, problems).order():
        parent = usable[name].get("derived_from")
        built[name] = merge_schemas(built.get(parent) if parent else None, usable[name].get("properties"), written)
    values = Values(built, problems)
    _refuse_cycles(built, usable, problems)
    for name, schemas in built.items():
        values.check_schemas(schemas, what=f"data_types.{name}")
    return built


def _refuse_cycles(built: dict[str, Map], entries: Map, problems: Problems) -> None:
    """A data type that contains itself has no value; it is taken out so that nothing expands it."""
    state: dict[str, int] = {}

    def visit(name: str, chain: list[str]) -> None:
        state[name] = 1
        for schema in list(built[name].values()):
            inner = schema.get("type") if isinstance(schema, dict) else None
            if inner not in built:
                continue
            if state.get(inner) == 1:
                cycle = [*chain[chain.index(inner) :], inner]
                message = f"data types contain themselves: {' → '.join(cycle)}"
                problems.add(Kind.DATA_TYPE_CYCLE, message, at=key_mark(entries, inner))
                broken.update(cycle)
            elif inner not in state and len(chain) < 200:
                visit(inner, [*chain, inner])
        state[name] = 2

    broken: set[str] = set()
    for name in list(built):
        if name not in state:
            visit(name, [name])
    for name in broken:
        built[name] = Map()
        problems.broken.add(("data_types", name))


def merge_schemas(parent: Optional[Map], own: Any, data_types: Mapping[str, Any] = MappingProxyType({})) -> Map:
    """Return a type's property schemas over its parent's; defaults of one data type are merged."""
    merged = Map(own.mark if isinstance(own, Map) else None)
    for origin in (parent, own):
        if not isinstance(origin, dict):
            continue
        for name, schema in origin.items():
            written = schema if schema is not None else Map(key_mark(origin, name))
            if name in merged and written.get("type") in data_types:
                written = _with_parent_default(merged[name], written, data_types)
            merged.put(name, written, origin=origin)
    return merged


def _with_parent_default(parent: Mapping[str, Any], own: Map, data_types: Mapping[str, Any]) -> Map:
    """Fill the default of a data type with what the parent's default says beside it."""
    above, default = parent.get("default"), own.get("default")
    if parent.get("type") != own.get("type") or not isinstance(above, dict) or is_function(above):
        return own
    if "default" in own and (not isinstance(default, dict) or is_function(default)):
        return own
    filled = Map(own.mark)
    for key, value in own.items():
        filled.put(key, value, origin=own)
    filled["default"] = over_default(default or {}, above, own.get("type"), data_types)
    return filled


def build_node_types(section: Any, values: Values, problems: Problems) -> dict[str, NodeType]:
    """Return the node types with everything that their parents say."""
    entries = section if isinstance(section, dict) else {}
    built: dict[str, NodeType] = {}
    for name in Derivation("node_types", entries, problems).order():
        entry = entries[name] or {}
        parent = built.get(entry.get("derived_from") or "")
        schemas = merge_schemas(_map(parent.properties) if parent else None, entry.get("properties"), values.data_types)
        values.check_schemas(entry.get("properties"), what=f"node_types.{name}")
        own = read_interfaces(entry.get("interfaces"), problems, what=f"node_types.{name}")
        check_input_schemas(own, values, what=f"node_types.{name}")
        built[name] = NodeType(
            name=name,
            hierarchy=(*(parent.hierarchy if parent else ()), name),
            properties=schemas,
            interfaces=derive_interfaces(parent.interfaces, own) if parent else own,
            parent=parent.name if parent else None,
            at=key_mark(entries, name),
        )
    return built


def build_relationship_types(section: Any, values: Values, problems: Problems) -> dict[str, RelationshipType]:
    """Return the relationship types with everything that their parents say."""
    entries = section if isinstance(section, dict) else {}
    built: dict[str, RelationshipType] = {}
    for name in Derivation("relationships", entries, problems).order():
        entry = entries[name] or {}
        parent = built.get(entry.get("derived_from") or "")
        values.check_schemas(entry.get("properties"), what=f"relationships.{name}")
        sides: dict[str, Interfaces] = {}
        for side in ("source_interfaces", "target_interfaces"):
            own = read_interfaces(entry.get(side), problems, what=f"relationships.{name}")
            check_input_schemas(own, values, what=f"relationships.{name}")
            sides[side] = derive_interfaces(getattr(parent, side), own) if parent else own
        built[name] = RelationshipType(
            name=name,
            hierarchy=(*(parent.hierarchy if parent else ()), name),
            properties=merge_schemas(_map(parent.properties) if parent else None, entry.get("properties")),
            parent=parent.name if parent else None,
            at=key_mark(entries, name),
            **sides,
        )
    return built


def check_input_schemas(interfaces: Interfaces, values: Values, *, what: str) -> None:
    """Check the schemas of the inputs that a type's operations declare."""
    for interface, operations in interfaces.items():
        for name, operation in operations.items():
            values.check_schemas(operation.inputs, what=f"{what}: {interface}.{name}")


def _map(properties: Mapping[str, Any]) -> Map:
    return properties if isinstance(properties, Map) else Map()
