"""Checks a workflow's parameters against its schema and fills in the defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from outrider.dispatcher.workflows.errors import ParameterError, did_you_mean

Json = Mapping[str, Any]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_CHECKS: Mapping[str, Callable[[object], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "list": lambda value: isinstance(value, (list, tuple)),
    "dict": lambda value: isinstance(value, Mapping),
}


def fill_parameters(workflow: str, schema: Json, given: Json, *, allow_custom: bool = False) -> dict[str, Any]:
    """Return the parameters with defaults filled in.

    A parameter that the schema does not know is an error unless `allow_custom`; then it is passed on.
    Raises ParameterError with every problem, not the first one only.
    """
    problems = list(_problems(schema, given, allow_custom=allow_custom))
    if problems:
        raise ParameterError(workflow, problems)
    filled = {name: entry.get("default") for name, entry in schema.items()}
    filled.update(given)
    return filled


def _problems(schema: Json, given: Json, *, allow_custom: bool) -> Iterator[str]:
    for name, entry in schema.items():
        if name not in given and entry.get("required", "default" not in entry):
            yield f"parameter {name!r} is missing ({entry.get('type', 'any type')}: {entry.get('description', '')})"
    for name, value in given.items():
        if name not in schema:
            if not allow_custom:
                known = ", ".join(schema) or "no parameters"
                yield f"parameter {name!r} is unknown{did_you_mean(name, schema)}; it takes {known}"
            continue
        problem = _type_problem(schema[name], value)
        if problem:
            yield f"parameter {name!r} {problem}"


def _type_problem(entry: Json, value: object) -> str | None:
    # null stands for "not given" wherever null is the default, as the ecosystem's clients send it.
    if value is None and entry.get("default", ...) is None:
        return None
    expected = str(entry.get("type"))
    if expected in _CHECKS and not _CHECKS[expected](value):
        return f"must be {_article(expected)}, not {value!r}"
    item = str(entry.get("item_type"))
    if item in _CHECKS and isinstance(value, (list, tuple)):
        wrong = [each for each in value if not _CHECKS[item](each)]
        if wrong:
            return f"must be a list whose items are of type {item}; {wrong[0]!r} is not"
    return None


def _article(name: str) -> str:
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"
