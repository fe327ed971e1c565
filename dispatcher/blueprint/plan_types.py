"""The parts of a plan that show types and requirements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from outrider.dispatcher.blueprint.functions.evaluate import as_list
from outrider.dispatcher.blueprint.functions.names import find_functions
from outrider.dispatcher.blueprint.located import plain
from outrider.dispatcher.blueprint.model import Model, RelationshipType
from outrider.dispatcher.blueprint.operations import Interfaces

Record = dict[str, Any]


def relationship_types(types: Mapping[str, RelationshipType]) -> dict[str, Record]:
    """Return the ``relationships`` of a plan."""
    shown = {}
    for name, item in types.items():
        record: Record = {"derived_from": item.parent} if item.parent else {}
        record["properties"] = item.properties
        record["source_interfaces"] = _interfaces(item.source_interfaces)
        record["target_interfaces"] = _interfaces(item.target_interfaces)
        record["name"] = name
        record["type_hierarchy"] = list(item.hierarchy)
        shown[name] = record
    return shown


def _interfaces(interfaces: Interfaces) -> Record:
    return {
        interface: {name: operation.record() for name, operation in operations.items()}
        for interface, operations in interfaces.items()
    }


def data_types(model: Model) -> dict[str, Record]:
    """Return the ``data_types`` of a plan."""
    section = model.sections.get("data_types") or {}
    shown = {}
    for name, properties in model.data_types.items():
        entry = section.get(name) or {}
        fields = {key: entry.get(key) for key in ("description", "derived_from", "version")}
        shown[name] = {"properties": properties, **fields}
    return shown


def requirements(nodes: list[Record], sections: Mapping[str, Any]) -> Record:
    """Return what must exist before a deployment is made: secrets, and capabilities of the parent environment.

    An entry is a name, a list of a name and the path into it, or a function that yields the name.
    """
    secrets: list[Any] = []
    capabilities: list[Any] = []
    for function, call, _ in _calls(_places(nodes, sections)):
        if function == "get_secret":
            argument = plain(call[function])
            if argument not in secrets:
                secrets.append(argument)
        elif function == "get_environment_capability":
            entry = as_list(plain(call[function]))
            if entry not in capabilities:
                capabilities.append(entry)
    return {"parent_capabilities": capabilities, "secrets": secrets}


def _places(nodes: list[Record], sections: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the values in which functions of a plan stand, each once: nodes share the operations of their types."""
    seen: set[int] = set()
    for node in nodes:
        yield node["properties"]
        yield from _inputs(node["operations"], seen)
        for relationship in node["relationships"]:
            yield relationship["properties"]
            yield from _inputs(relationship["source_operations"], seen)
            yield from _inputs(relationship["target_operations"], seen)
    for name in ("outputs", "capabilities", "labels", "deployment_settings", "inputs"):
        yield sections.get(name)


def _inputs(operations: Mapping[str, Record], seen: set[int]) -> Iterator[Any]:
    if id(operations) in seen:
        return
    seen.add(id(operations))
    for operation in operations.values():
        if operation["inputs"] and id(operation) not in seen:
            seen.add(id(operation))
            yield operation["inputs"]


def _calls(places: Iterator[Any]) -> Iterator[tuple[str, Record, int]]:
    for place in places:
        yield from find_functions(place)
