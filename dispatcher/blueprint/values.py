"""Values and their schemas: primitive types, data types, defaults, and what is missing or does not fit.

Used for properties of nodes and relationships, inputs of operations, inputs of deployments and plugin properties.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Optional

from outrider.dispatcher.blueprint.functions import is_function
from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import Map, Mark, value_mark
from outrider.dispatcher.blueprint.problems import Problems, nearest
from outrider.dispatcher.blueprint.shapes import describe_value

PRIMITIVES = ("string", "integer", "float", "boolean", "list", "dict", "regex", "textarea")
#: Types whose values name something in the manager's database; any value is accepted here.
DATABASE_TYPES = (
    "blueprint_id",
    "deployment_id",
    "capability_value",
    "scaling_group",
    "secret_key",
    "node_id",
    "node_type",
    "node_instance",
    "operation_name",
)
BUILT_IN_TYPES = PRIMITIVES + DATABASE_TYPES
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


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


class Values:
    """Completes and checks values by their schemas; knows the data types of one blueprint."""

    def __init__(self, data_types: Mapping[str, Mapping[str, Any]], problems: Problems) -> None:
        #: Data type -> its property schemas, parents' included.
        self.data_types = data_types
        self._problems = problems

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
                self.check(schema["default"], schema, what=f"the default of {what}.{name}", at=at, partial=True)

    def check_type_name(self, schema: Mapping[str, Any], key: str, *, what: str) -> None:
        """Check that `schema[key]`, when given, names a type."""
        type_name = schema.get(key)
        broken = ("data_types", type_name) in self._problems.broken
        if type_name is not None and not self.known_type(type_name) and not broken:
            known = [*BUILT_IN_TYPES, *self.data_types]
            message = f"{what} has the {key} {type_name!r}, which is not a data type of the blueprint"
            at = value_mark(schema, key)
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
        check_types: bool = True,
        report_missing: bool = True,
    ) -> tuple[Any, bool]:
        """Return (value, whether there is one) of `name`: what was given, filled from defaults, else the default.

        A missing required value and a value that does not fit are recorded as findings.
        """
        if name in given:
            value = given[name]
            if value is None:
                return None, True
            return self.check(value, schema, what=what, at=at, quiet=not check_types), True
        if "default" in schema:
            default = schema["default"]
            if default is None:
                return None, True
            return self.check(default, schema, what=what, at=at, quiet=True), True
        fields = self.data_types.get(schema.get("type", ""))
        if fields and not optional and report_missing:
            # A data type's properties may all have defaults: then the value exists without being written.
            filled = self._fill(
                fields, {}, what=what, at=at, depth=0, quiet=False, partial=not schema.get("required", True)
            )
            return (filled, True) if filled else (None, False)
        if schema.get("required", True) and not optional and report_missing:
            self._problems.add(Kind.PROPERTY_MISSING, f"{what} is required and has no value", at=at)
        return None, False

    def check(
        self,
        value: Any,
        schema: Mapping[str, Any],
        *,
        what: str,
        at: Optional[Mark],
        partial: bool = False,
        quiet: bool = False,
        depth: int = 0,
    ) -> Any:
        """Return the value with the defaults of data types filled in; findings for what does not fit.

        `partial`: missing fields are no finding (a default may be completed later). `quiet`: no findings at all.
        """
        type_name = schema.get("type")
        if type_name is None or value is None or is_function(value) or depth > _DEEPEST:
            return value
        fields = self.data_types.get(type_name)
        if fields is not None:
            if not isinstance(value, dict):
                if not quiet:
                    self._wrong_type(value, type_name, what, at)
                return value
            return self._fill(fields, value, what=what, at=at, depth=depth, quiet=quiet, partial=partial)
        if not fits(value, type_name):
            if not quiet:
                self._wrong_type(value, type_name, what, at)
            return value
        item_type = schema.get("item_type")
        if type_name == "list" and item_type and isinstance(value, list):
            return [
                self.check(
                    item,
                    {"type": item_type},
                    what=f"{what}[{index}]",
                    at=value_mark(value, index) or at,
                    partial=partial,
                    quiet=quiet,
                    depth=depth + 1,
                )
                for index, item in enumerate(value)
            ]
        return value

    def _fill(
        self,
        fields: Mapping[str, Any],
        value: Mapping[str, Any],
        *,
        what: str,
        at: Optional[Mark],
        depth: int,
        quiet: bool,
        partial: bool,
    ) -> Map:
        filled = Map(at)
        for key, item in value.items():
            if key not in fields:
                if not quiet:
                    message = f"{what} has no property {key!r}; its data type has {', '.join(fields) or 'none'}"
                    mark = value_mark(value, key) or at
                    self._problems.add(Kind.PROPERTY_UNDEFINED, message, at=mark, suggestion=nearest(key, fields))
                continue
            filled.put(key, item, origin=value)
        for key, schema in fields.items():
            if key in value:
                mark = value_mark(value, key) or at
                filled[key] = self.check(
                    value[key], schema, what=f"{what}.{key}", at=mark, partial=partial, quiet=quiet, depth=depth + 1
                )
            elif schema.get("default") is not None:
                filled[key] = self.check(
                    schema["default"], schema, what=f"{what}.{key}", at=at, partial=partial, quiet=True, depth=depth + 1
                )
            elif schema.get("type") in self.data_types and depth < _DEEPEST:
                inner = self._fill(
                    self.data_types[schema["type"]],
                    {},
                    what=f"{what}.{key}",
                    at=at,
                    depth=depth + 1,
                    quiet=True,
                    partial=True,
                )
                if inner:
                    filled[key] = inner
                elif not partial and not quiet and schema.get("required", True):
                    self._problems.add(Kind.PROPERTY_MISSING, f"{what}.{key} is required and has no value", at=at)
            elif not partial and not quiet and schema.get("required", True):
                self._problems.add(Kind.PROPERTY_MISSING, f"{what}.{key} is required and has no value", at=at)
        return filled

    def _wrong_type(self, value: object, type_name: str, what: str, at: Optional[Mark]) -> None:
        self._problems.add(Kind.VALUE_TYPE, f"{what} must be of type {type_name}, not {describe_value(value)}", at=at)
