"""Values and their schemas: primitive types, data types, defaults, and what is missing or does not fit.

Used for properties of nodes and relationships, inputs of operations, inputs of deployments and plugin properties.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Optional

from outrider.dispatcher.blueprint.functions import is_function
from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import Map, Mark, value_mark
from outrider.dispatcher.blueprint.problems import Problems, nearest
from outrider.dispatcher.blueprint.shapes import describe_value
from outrider.dispatcher.blueprint.versions import ANY_VERSION, Version, too_old

PRIMITIVES = ("string", "integer", "float", "boolean", "list", "dict", "regex", "textarea")
#: Types whose values name something in the manager's database, and their first versions; any value is accepted here.
DATABASE_TYPES: Mapping[str, Version] = {
    "blueprint_id": (1, 4),
    "deployment_id": (1, 4),
    "capability_value": (1, 4),
    "scaling_group": (1, 4),
    "secret_key": (1, 4),
    "node_id": (1, 4),
    "node_type": (1, 4),
    "node_instance": (1, 4),
    "operation_name": (1, 5),
}
BUILT_IN_TYPES = (*PRIMITIVES, *DATABASE_TYPES)
_DEEPEST = 50


def fits(value: object, type_name: str) -> bool:  # noqa: PLR0911 - one line per type
    """Return whether a value is of a built-in type. Text takes any value, as everywhere in the ecosystem."""
    if value is None or is_function(value):
        return True
    match type_name:
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "float":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "list":
            return isinstance(value, list)
        case "dict":
            return isinstance(value, dict)
        case "regex":
            return isinstance(value, str) and _compiles(value)
        case "textarea":
            return isinstance(value, str)
        case _:
            return True


def over_default(
    value: Any, default: Any, type_name: Optional[str], data_types: Mapping[str, Mapping[str, Any]]
) -> Any:
    """Lay a value of a data type over its property's default, key by key, as deep as data types go."""
    if (
        type_name is None
        or type_name not in data_types
        or not _is_plain_mapping(value)
        or not _is_plain_mapping(default)
    ):
        return value
    fields = data_types[type_name]
    merged = Map(value.mark if isinstance(value, Map) else None)
    for key in default:
        merged.put(key, default[key], origin=default)
    for key, item in value.items():
        if key in default:
            inner = (fields.get(key) or {}).get("type")
            item = over_default(item, default[key], inner, data_types)  # noqa: PLW2901
        merged.put(key, item, origin=value)
    return merged


def _is_plain_mapping(value: object) -> bool:
    return isinstance(value, dict) and not is_function(value)


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


class Findings(Enum):
    """What of a value is a finding."""

    ALL = "all"
    #: All but missing fields: a default may be completed later.
    PRESENT = "present"
    #: Missing fields only: the rest was told where the default stands.
    MISSING = "missing"
    NONE = "none"

    @property
    def wrong(self) -> bool:
        """Whether what is there and does not fit is told."""
        return self in (Findings.ALL, Findings.PRESENT)

    @property
    def missing(self) -> bool:
        """Whether what is missing is told."""
        return self in (Findings.ALL, Findings.MISSING)


class Values:
    """Completes and checks values by their schemas; knows the data types of one blueprint."""

    def __init__(
        self, data_types: Mapping[str, Mapping[str, Any]], problems: Problems, version: Version = ANY_VERSION
    ) -> None:
        #: Data type -> its property schemas, parents' included.
        self.data_types = data_types
        self._problems = problems
        self._version = version

    def check_version(self, since: Version, *, what: str, at: Optional[Mark]) -> None:
        """Record a finding if `what` came into the language later than the blueprint's version."""
        if since > self._version and not (at is not None and at.source.any_version):
            self._problems.add(Kind.VERSION_TOO_OLD, too_old(what, since), at=at)

    def known_type(self, name: object) -> bool:
        """Return whether a schema may name this type."""
        return name in BUILT_IN_TYPES or name in self.data_types

    def check_schemas(self, schemas: object, *, what: str) -> None:
        """Check the types and defaults that a mapping of property schemas names."""
        if not isinstance(schemas, dict):
            return
        for name, schema in schemas.items():
            if not isinstance(schema, dict):
                continue
            self.check_type_name(schema, "type", what=f"{what}.{name}")
            self.check_type_name(schema, "item_type", what=f"{what}.{name}")
            if schema.get("default") is not None:
                at = value_mark(schema, "default")
                self.check(
                    schema["default"], schema, what=f"the default of {what}.{name}", at=at, findings=Findings.PRESENT
                )

    def check_type_name(self, schema: Mapping[str, Any], key: str, *, what: str) -> None:
        """Check that `schema[key]`, when given, names a type."""
        type_name = schema.get(key)
        at = value_mark(schema, key)
        if isinstance(type_name, str) and type_name in DATABASE_TYPES:
            self.check_version(DATABASE_TYPES[type_name], what=f"the type {type_name} of {what}", at=at)
        broken = ("data_types", type_name) in self._problems.broken
        if type_name is not None and not self.known_type(type_name) and not broken:
            known = [*BUILT_IN_TYPES, *self.data_types]
            message = f"{what} has the {key} {type_name!r}, which is not a data type of the blueprint"
            self._problems.add(Kind.DATA_TYPE_UNKNOWN, message, at=at, suggestion=nearest(str(type_name), known))

    def complete(
        self,
        schema: Mapping[str, Any],
        given: Mapping[str, Any],
        name: str,
        *,
        what: str,
        at: Optional[Mark],
        optional: bool = False,
    ) -> tuple[Any, bool]:
        """Return (value, whether there is one) of a property: what was given over its default, else the default.

        A missing required value and a value that does not fit are recorded as findings; `optional`: nothing need be
        there.
        """
        default = schema.get("default")
        fields = self.data_types.get(schema.get("type", ""))
        if name in given:
            value = given[name]
            if value is None:
                return None, True
            return self.check(self._over_default(value, schema), schema, what=what, at=at), True
        if "default" in schema and not (default is None and fields):
            findings = Findings.NONE if optional else Findings.MISSING
            return default if default is None else self.check(
                default, schema, what=what, at=at, findings=findings
            ), True
        required = schema.get("required", True)
        if fields and not optional:
            # A data type's properties may all have defaults: then the value exists without being written.
            findings = Findings.ALL if required else Findings.PRESENT
            filled = self._fill(fields, {}, what=what, at=at, depth=0, findings=findings)
            return (filled, True) if filled else (None, False)
        if required and not optional:
            self.report_missing(what, at=at)
        return None, False

    def report_missing(self, what: str, *, at: Optional[Mark]) -> None:
        """Record that something required has no value."""
        self._problems.add(Kind.PROPERTY_MISSING, f"{what} is required and has no value", at=at)

    def input_of(self, schema: Mapping[str, Any], given: Mapping[str, Any], name: str, at: Optional[Mark]) -> Any:
        """Return the input of an operation: what was given, as it is, else the default.

        Nobody checks the inputs of operations, as everywhere in the ecosystem.
        """
        if name in given:
            return given[name]
        default = schema.get("default")
        return default if default is None else self.check(default, schema, what=name, at=at, findings=Findings.NONE)

    def check(
        self,
        value: Any,
        schema: Mapping[str, Any],
        *,
        what: str,
        at: Optional[Mark],
        findings: Findings = Findings.ALL,
        depth: int = 0,
    ) -> Any:
        """Return the value with the defaults of data types filled in; findings for what does not fit."""
        type_name = schema.get("type")
        if type_name is None or value is None or is_function(value) or depth > _DEEPEST:
            return value
        fields = self.data_types.get(type_name)
        if fields is not None and isinstance(value, dict):
            return self._fill(fields, value, what=what, at=at, depth=depth, findings=findings)
        if fields is not None or not fits(value, type_name):
            if findings.wrong:
                self._wrong_type(value, type_name, what, at)
            return value
        item_type = schema.get("item_type")
        if type_name == "list" and item_type and isinstance(value, list):
            of_item = {"type": item_type}
            return [
                self.check(
                    item,
                    of_item,
                    what=f"{what}[{index}]",
                    at=value_mark(value, index) or at,
                    findings=findings,
                    depth=depth + 1,
                )
                for index, item in enumerate(value)
            ]
        return value

    def _over_default(self, value: Any, schema: Mapping[str, Any]) -> Any:
        return over_default(value, schema.get("default"), schema.get("type"), self.data_types)

    def _fill(
        self,
        fields: Mapping[str, Any],
        value: Mapping[str, Any],
        *,
        what: str,
        at: Optional[Mark],
        depth: int,
        findings: Findings,
    ) -> Map:
        """Return a value of a data type with its fields in their order, the missing ones from their defaults."""
        filled = Map(at)
        for key, item in value.items():
            if key in fields:
                filled.put(key, item, origin=value)
            elif findings.wrong:
                message = f"{what} has no property {key!r}; its data type has {', '.join(fields) or 'none'}"
                mark = value_mark(value, key) or at
                self._problems.add(Kind.PROPERTY_UNDEFINED, message, at=mark, suggestion=nearest(key, fields))
        told_before = Findings.MISSING if findings.missing else Findings.NONE
        for key, schema in fields.items():
            name = f"{what}.{key}"
            if key in value:
                mark, item = value_mark(value, key) or at, self._over_default(value[key], schema)
                filled[key] = self.check(item, schema, what=name, at=mark, findings=findings, depth=depth + 1)
                continue
            default = schema.get("default")
            if default is not None:
                found = self.check(default, schema, what=name, at=at, findings=told_before, depth=depth + 1)
            else:
                found = self._from_fields(schema, name, at, depth)
            if found is not None:
                filled[key] = found
            elif findings.missing and schema.get("required", True):
                self.report_missing(name, at=at)
        return filled

    def _from_fields(self, schema: Mapping[str, Any], what: str, at: Optional[Mark], depth: int) -> Optional[Map]:
        """Return a value that consists of the defaults of its data type's fields; None if there are none."""
        fields = self.data_types.get(schema.get("type", ""))
        if fields is None or depth >= _DEEPEST:
            return None
        return self._fill(fields, {}, what=what, at=at, depth=depth + 1, findings=Findings.NONE) or None

    def _wrong_type(self, value: object, type_name: str, what: str, at: Optional[Mark]) -> None:
        self._problems.add(Kind.VALUE_TYPE, f"{what} must be of type {type_name}, not {describe_value(value)}", at=at)
