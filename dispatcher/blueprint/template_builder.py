"""Builds node templates: values completed by their types' schemas, operations merged, relationships checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from outrider.dispatcher.blueprint.functions import is_function
from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import Map, Mark, key_mark, value_mark
from outrider.dispatcher.blueprint.model import NodeTemplate, NodeType, Relationship, RelationshipType
from outrider.dispatcher.blueprint.operations import (
    Interfaces,
    Operation,
    complete_interfaces,
    read_interfaces,
    template_interfaces,
)
from outrider.dispatcher.blueprint.problems import Problems, nearest
from outrider.dispatcher.blueprint.scalable import scalable_of_node
from outrider.dispatcher.blueprint.values import Values

COMPUTE = "cloudify.nodes.Compute"
EXTERNAL = "use_external_resource"
CONNECTION_TYPES = ("all_to_all", "all_to_one")
LIFECYCLE = "cloudify.interfaces.lifecycle"
_WAITS_FOR_OPERATION = "cloudify.relationships.depends_on_lifecycle_operation"


class TemplateBuilder:
    """Builds all node templates of one blueprint."""

    def __init__(
        self,
        section: Any,
        node_types: Mapping[str, NodeType],
        relationship_types: Mapping[str, RelationshipType],
        values: Values,
        problems: Problems,
    ) -> None:
        self._entries: Mapping[str, Any] = section if isinstance(section, dict) else {}
        self._node_types = node_types
        self._relationship_types = relationship_types
        self._values = values
        self._problems = problems
        #: Completed interfaces by (type, side): most templates share them.
        self._shared: dict[tuple[str, str], Interfaces] = {}
        self._missing: dict[tuple[str, str], list[tuple[str, str, Operation]]] = {}

    def build(self) -> dict[str, NodeTemplate]:
        """Return the node templates that can be built; findings for the others."""
        built = {}
        for name, entry in self._entries.items():
            template = self._template(name, entry) if isinstance(entry, dict) else None
            if template is not None:
                built[name] = template
        self._check_lifecycle_operations(built)
        return built

    def _template(self, name: str, entry: Mapping[str, Any]) -> Optional[NodeTemplate]:
        node_type = self._type(name, entry)
        if node_type is None:
            return None
        at = key_mark(self._entries, name)
        return NodeTemplate(
            name=name,
            type=node_type,
            properties=self._properties(name, entry, node_type, at),
            interfaces=self._interfaces(name, entry, node_type, at),
            relationships=self._relationships(name, entry),
            scalable=scalable_of_node(name, entry, self._problems),
            instances=entry.get("instances") or {},
            own_interfaces=bool(entry.get("interfaces")),
            at=at,
        )

    def _type(self, name: str, entry: Mapping[str, Any]) -> Optional[NodeType]:
        type_name = entry.get("type")
        found = self._node_types.get(type_name) if isinstance(type_name, str) else None
        if found is None and ("node_types", type_name) not in self._problems.broken and isinstance(type_name, str):
            message = f"node_templates.{name} has the type {type_name!r}, which is not defined"
            meant = nearest(type_name, self._node_types)
            self._problems.add(Kind.NODE_TYPE_UNKNOWN, message, at=value_mark(entry, "type"), suggestion=meant)
        return found

    def _properties(self, name: str, entry: Mapping[str, Any], node_type: NodeType, at: Optional[Mark]) -> Map:
        given = entry.get("properties") or {}
        external = given.get(EXTERNAL)
        if is_function(external):
            message = f"node_templates.{name}.properties.{EXTERNAL} must be true or false, not a function"
            self._problems.add(Kind.EXTERNAL_RESOURCE_FUNCTION, message, at=value_mark(given, EXTERNAL))
        what = f"node_templates.{name}.properties"
        return complete_properties(
            given, node_type.properties, self._values, self._problems, what=what, at=at, optional=external is True
        )

    def _interfaces(self, name: str, entry: Mapping[str, Any], node_type: NodeType, at: Optional[Mark]) -> Interfaces:
        what = f"node_templates.{name}"
        own = read_interfaces(entry.get("interfaces"), self._problems, what=what)
        completed = self._completed(node_type.name, "", node_type.interfaces)
        self._report_missing((node_type.name, ""), own, what, at)
        if not own:
            return completed
        return template_interfaces(node_type.interfaces, completed, own, self._values, what=what)

    def _completed(self, type_name: str, side: str, declared: Interfaces) -> Interfaces:
        """Return a type's interfaces with the defaults of inputs filled in; made once per type."""
        key = (type_name, side)
        if key not in self._shared:
            completed = self._shared[key] = complete_interfaces(declared, self._values, what=type_name)
            self._missing[key] = [
                (interface, name, operation)
                for interface, operations in completed.items()
                for name, operation in operations.items()
                if operation.missing_inputs
            ]
        return self._shared[key]

    def _report_missing(self, key: tuple[str, str], own: Interfaces, what: str, at: Optional[Mark]) -> None:
        """Required inputs must come from the template, unless it changes the operation itself."""
        for interface, name, operation in self._missing[key]:
            if name not in own.get(interface, {}):
                for missing in operation.missing_inputs:
                    message = f"{what}: {interface}.{name}, input {missing} is required and has no value"
                    self._problems.add(Kind.PROPERTY_MISSING, message, at=at)

    def _relationships(self, name: str, entry: Mapping[str, Any]) -> tuple[Relationship, ...]:
        raw = entry.get("relationships") or []
        built = []
        containers = 0
        for index, item in enumerate(raw):
            if not isinstance(item, dict):
                continue
            relationship = self._relationship(name, index, item, value_mark(raw, index))
            if relationship is None:
                continue
            containers += relationship.contains
            if relationship.contains and containers > 1:
                message = f"node_templates.{name} is contained in a second node, {relationship.target!r}"
                self._problems.add(Kind.CONTAINED_TWICE, message, at=value_mark(raw, index))
                continue
            built.append(relationship)
        return tuple(built)

    def _relationship(
        self, name: str, index: int, item: Mapping[str, Any], at: Optional[Mark]
    ) -> Optional[Relationship]:
        what = f"node_templates.{name}.relationships[{index}]"
        type_name, target = item.get("type"), item.get("target")
        found = self._relationship_types.get(type_name) if isinstance(type_name, str) else None
        if found is None and isinstance(type_name, str) and ("relationships", type_name) not in self._problems.broken:
            meant = nearest(type_name, self._relationship_types)
            message = f"{what} has the type {type_name!r}, which is not defined"
            self._problems.add(Kind.RELATIONSHIP_TYPE_UNKNOWN, message, at=value_mark(item, "type"), suggestion=meant)
        if not self._target_is_good(name, what, target, item) or found is None or not isinstance(target, str):
            return None
        properties = complete_properties(
            item.get("properties") or {},
            found.properties,
            self._values,
            self._problems,
            what=f"{what}.properties",
            at=at,
        )
        self._check_connection_type(properties, item, what)
        return Relationship(
            type=found,
            target=target,
            properties=properties,
            source_interfaces=self._side(found, item, "source_interfaces", what),
            target_interfaces=self._side(found, item, "target_interfaces", what),
            at=at,
        )

    def _target_is_good(self, name: str, what: str, target: object, item: Mapping[str, Any]) -> bool:
        if not isinstance(target, str):
            return False
        at = value_mark(item, "target")
        if target == name:
            self._problems.add(Kind.RELATIONSHIP_TO_SELF, f"{what} has its own node template as target", at=at)
            return False
        if target not in self._entries:
            if ("node_templates", target) not in self._problems.broken:
                meant = nearest(target, self._entries)
                message = f"{what} has the target {target!r}, which is no node template"
                self._problems.add(Kind.RELATIONSHIP_TARGET_UNKNOWN, message, at=at, suggestion=meant)
            return False
        return True

    def _check_connection_type(self, properties: Map, item: Mapping[str, Any], what: str) -> None:
        value = properties.get("connection_type")
        if value is not None and value not in CONNECTION_TYPES and not is_function(value):
            message = f"{what} has the connection_type {value!r}; it is one of {', '.join(CONNECTION_TYPES)}"
            meant = nearest(str(value), CONNECTION_TYPES)
            at = value_mark(item.get("properties"), "connection_type")
            self._problems.add(Kind.CONNECTION_TYPE, message, at=at, suggestion=meant)

    def _side(self, found: RelationshipType, item: Mapping[str, Any], side: str, what: str) -> Interfaces:
        declared: Interfaces = getattr(found, side)
        own = read_interfaces(item.get(side), self._problems, what=what)
        completed = self._completed(found.name, side, declared)
        self._report_missing((found.name, side), own, what, item.mark if isinstance(item, Map) else None)
        return template_interfaces(declared, completed, own, self._values, what=what) if own else completed

    def _check_lifecycle_operations(self, built: Mapping[str, NodeTemplate]) -> None:
        """A relationship that waits for one operation of its target names one that the target has."""
        for template in built.values():
            for relationship in template.relationships:
                if _WAITS_FOR_OPERATION not in relationship.type.hierarchy or relationship.target not in built:
                    continue
                operation = relationship.properties.get("operation")
                known = built[relationship.target].interfaces.get(LIFECYCLE, {})
                if not operation:
                    message = f"node_templates.{template.name}: {relationship.type.name} lacks the property operation"
                    self._problems.add(Kind.LIFECYCLE_OPERATION_MISSING, message, at=relationship.at)
                elif not is_function(operation) and operation not in known:
                    message = f"{relationship.target!r} has no lifecycle operation {operation!r}"
                    meant = nearest(str(operation), known)
                    kind = Kind.LIFECYCLE_OPERATION_UNKNOWN
                    self._problems.add(kind, message, at=relationship.at, suggestion=meant)


def complete_properties(
    given: Mapping[str, Any],
    schemas: Mapping[str, Any],
    values: Values,
    problems: Problems,
    *,
    what: str,
    at: Optional[Mark],
    optional: bool = False,
) -> Map:
    """Return properties with defaults filled in; findings for unknown, missing and ill-typed ones."""
    completed = Map(at)
    for name in given:
        if name not in schemas:
            message = f"{what} has no property {name!r} in its type"
            meant = nearest(name, schemas)
            problems.add(Kind.PROPERTY_UNDEFINED, message, at=key_mark(given, name), suggestion=meant)
    for name, schema in schemas.items():
        mark = value_mark(given, name) if name in given else at
        value, found = values.complete(schema, given, name, what=f"{what}.{name}", at=mark, optional=optional)
        if found:
            completed.put(name, value, origin=given)
    return completed
