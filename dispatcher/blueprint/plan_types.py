"""The parts of a plan that show types and requirements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    places = [
        *(node["properties"] for node in nodes),
        *(node["operations"] for node in nodes),
        *(node["relationships"] for node in nodes),
        *(sections.get(name) for name in ("outputs", "capabilities", "labels", "deployment_settings", "inputs")),
    ]
    for function, call in _distinct_calls(places):
        argument = plain(call[function])
        if function == "get_secret" and argument not in secrets:
            secrets.append(argument)
        elif function == "get_environment_capability":
            entry = argument if isinstance(argument, list) else [argument]
            if entry not in capabilities:
                capabilities.append(entry)
    return {"parent_capabilities": capabilities, "secrets": secrets}


def _distinct_calls(places: list[Any]) -> list[tuple[str, Record]]:
    """Return the calls in these places; records that many nodes share are looked at once."""
    seen: set[int] = set()
    found = []
    for place in places:
        values = place.values() if isinstance(place, dict) else place or ()
        for value in values:
            if id(value) not in seen:
                seen.add(id(value))
                found += list(find_functions(value))
    return found
