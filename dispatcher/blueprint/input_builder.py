"""Builds ``inputs`` and workflow parameters: types, constraints and defaults, checked before anybody uses them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outrider.dispatcher.blueprint.constraints import constraint_mistake, violations
from outrider.dispatcher.blueprint.functions import has_functions
from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import Map, key_mark, value_mark
from outrider.dispatcher.blueprint.problems import Problems
from outrider.dispatcher.blueprint.values import Values


def build_inputs(section: Any, values: Values, problems: Problems, *, what: str) -> dict[str, Any]:
    """Return input schemas as the plan shows them, defaults completed; `what` is ``inputs`` or a workflow's name."""
    built: dict[str, Any] = {}
    for name, entry in (section if isinstance(section, dict) else {}).items():
        schema: Mapping[str, Any] = entry or {}
        label = f"{what}.{name}"
        values.check_type_name(schema, "type", what=label)
        _check_presentation(label, schema, section, name, problems)
        _check_constraints(label, schema, values, problems)
        built[name] = _with_default(label, schema, values, problems)
    return built


def _check_presentation(label: str, schema: Mapping[str, Any], section: Any, name: str, problems: Problems) -> None:
    if schema.get("hidden") and schema.get("required", True) and "default" not in schema:
        message = f"{label} is hidden and required, and has no default"
        problems.add(Kind.INPUT_HIDDEN, message, at=key_mark(section, name))
    if schema.get("display") and schema.get("type") != "textarea":
        message = f"{label} has 'display', which only inputs of the type textarea take"
        problems.add(Kind.INPUT_DISPLAY, message, at=key_mark(schema, "display"))
    if schema.get("item_type") and schema.get("type") != "list":
        message = f"{label} has 'item_type', which only values of the type list take"
        problems.add(Kind.ITEM_TYPE, message, at=key_mark(schema, "item_type"))


def _check_constraints(label: str, schema: Mapping[str, Any], values: Values, problems: Problems) -> None:
    constraints = schema.get("constraints")
    for index, constraint in enumerate(constraints if isinstance(constraints, list) else ()):
        kind, mistake = constraint_mistake(constraint)
        if mistake:
            at = value_mark(constraints, index)
            problems.add(kind, f"{label}: {mistake}", at=at)
        elif "error_message" in constraint:
            values.check_version((1, 5), what=f"error_message of {label}", at=key_mark(constraint, "error_message"))


def _with_default(label: str, schema: Mapping[str, Any], values: Values, problems: Problems) -> Mapping[str, Any]:
    default = schema.get("default")
    if default is None:
        return schema
    at = value_mark(schema, "default")
    if has_functions(default):
        if schema.get("constraints"):
            message = f"the default of {label} is a function, and {label} has constraints"
            problems.add(Kind.CONSTRAINT_FUNCTION, message, at=at)
        return schema
    before = len(problems)
    completed = values.check(default, schema, what=f"the default of {label}", at=at)
    if len(problems) == before:
        for broken in violations(default, schema):
            problems.add(Kind.CONSTRAINT_VIOLATED, f"the default of {label} {broken}", at=at)
    if completed == default:
        return schema
    filled = Map(schema.mark if isinstance(schema, Map) else None)
    for key in schema:
        filled.put(key, schema[key], origin=schema)
    filled["default"] = completed
    return filled
