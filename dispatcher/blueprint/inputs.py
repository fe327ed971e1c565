"""Inputs of a deployment: defaults, types, constraints; all findings at once. Shared with workflow parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from outrider.dispatcher.blueprint.constraints import violations
from outrider.dispatcher.blueprint.errors import BlueprintError, FunctionFailed
from outrider.dispatcher.blueprint.functions import has_functions
from outrider.dispatcher.blueprint.functions.creation import CreationFacts
from outrider.dispatcher.blueprint.functions.evaluate import Evaluator
from outrider.dispatcher.blueprint.functions.scope import NO_SCOPE
from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.problems import Problems, nearest
from outrider.dispatcher.blueprint.values import Values


def complete_inputs(
    plan: Mapping[str, Any], given: Mapping[str, Any], errors: list[BlueprintError], *, auto_correct_types: bool = False
) -> dict[str, Any]:
    """Return all inputs of a deployment with their values; findings go to `errors`."""
    schemas: Mapping[str, Any] = plan.get("inputs") or {}
    # Functions can read every declared input; one that may be absent is null then.
    absent = {
        name: None
        for name, schema in schemas.items()
        if schema and name not in given and "default" not in schema and not schema.get("required", True)
    }
    return complete_parameters(
        schemas,
        {**absent, **given},
        errors,
        data_types=plan.get("data_types") or {},
        what="the input",
        auto_correct_types=auto_correct_types,
    )


def complete_parameters(
    schemas: Mapping[str, Any],
    given: Mapping[str, Any],
    errors: list[BlueprintError],
    *,
    data_types: Mapping[str, Any],
    what: str,
    auto_correct_types: bool = False,
    allow_unknown: bool = False,
) -> dict[str, Any]:
    """Return values for all schemas: given, else default; `what` is ``the input`` or ``the parameter``."""
    for name in given:
        if name not in schemas and not allow_unknown:
            meant = nearest(name, schemas)
            message = f"{what} {name!r} is not declared"
            errors.append(BlueprintError(kind=Kind.INPUT_UNKNOWN, message=message, suggestion=meant))
    values = dict(given) if allow_unknown else {}
    for name, entry in schemas.items():
        schema = entry or {}
        if name in given:
            value = given[name]
            values[name] = cast_text(value, schema.get("type")) if auto_correct_types else value
        elif "default" in schema:
            values[name] = schema["default"]
        elif schema.get("required", True):
            errors.append(
                BlueprintError(kind=Kind.INPUT_MISSING, message=f"{what} {name!r} is required and has no value")
            )
    for name in list(values):
        if name in schemas:
            values[name] = _evaluated(name, values, errors, what)
    fields = {name: entry.get("properties") or {} for name, entry in data_types.items()}
    for name, value in values.items():
        values[name] = _checked(value, schemas.get(name) or {}, fields, errors, f"{what} {name!r}")
    return values


def _evaluated(name: str, values: Mapping[str, Any], errors: list[BlueprintError], what: str) -> Any:
    """Defaults may be functions of other inputs."""
    value = values[name]
    if not has_functions(value):
        return value
    try:
        return Evaluator(CreationFacts({}, values)).referred(("input", name), value, NO_SCOPE)
    except FunctionFailed as exc:
        errors.append(BlueprintError(kind=Kind.FUNCTION_EVALUATION, message=f"{what} {name!r}: {exc}"))
        return None


def _checked(
    value: Any, schema: Mapping[str, Any], fields: Mapping[str, Any], errors: list[BlueprintError], what: str
) -> Any:
    problems = Problems()
    checked = Values(fields, problems).check(value, schema, what=what, at=None)
    for found in problems.errors():
        kind = Kind.INPUT_TYPE if found.kind is Kind.VALUE_TYPE else found.kind
        errors.append(BlueprintError(kind=kind, message=found.message, suggestion=found.suggestion))
    if has_functions(value) and schema.get("constraints"):
        message = f"{what} is a function that only run time can evaluate, and has constraints"
        errors.append(BlueprintError(kind=Kind.CONSTRAINT_FUNCTION, message=message))
    elif not problems and value is not None:
        errors += [
            BlueprintError(kind=Kind.INPUT_CONSTRAINT, message=f"{what} {message}")
            for message in violations(value, schema)
        ]
    return checked


def cast_text(value: Any, type_name: Any) -> Any:
    """Read text as the declared type where that is possible, for callers that know text only."""
    if not isinstance(value, str) or type_name in {None, "string", "textarea", "regex"}:
        return value
    try:
        read = json.loads(value.lower() if type_name == "boolean" else value)
    except ValueError:
        return value
    return read
