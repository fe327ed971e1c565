"""Secrets: redeemed just before an attempt's start, put in place of their markers, kept in memory only.

A value that is made of a secret travels as a recipe. `dispatcher/blueprint/functions/markers.py` lists the forms; they
are implemented here on their own, because an agent has no dispatcher's code, and a test compares the two.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Callable

from outrider.agent.errors import SecretsUnavailable

_SECRET, _CONCAT, _CALL, _LITERAL = "$secret", "$concat", "$call", "$literal"
#: What is looked for in a task's JSON: without it and without secrets, the task can be passed on as it is.
LITERAL_MARK = b'"$literal"'


def fill_in(value: Any, secrets: Mapping[str, Any]) -> Any:
    """Return a copy of a JSON value in which every recipe is replaced by what it makes.

    Raises `SecretsUnavailable` naming a secret, a place inside one, or a recipe that cannot be followed.
    """
    if isinstance(value, (list, tuple)):
        return [fill_in(child, secrets) for child in value]
    if not isinstance(value, Mapping):
        return value
    if _LITERAL in value:
        return value[_LITERAL]
    if _SECRET in value:
        return _look_up(str(value[_SECRET]), list(value.get("path") or ()), secrets)
    if _CONCAT in value:
        return "".join(str(fill_in(part, secrets)) for part in value[_CONCAT])
    if _CALL in value:
        return _call(str(value[_CALL]), [fill_in(argument, secrets) for argument in value["args"]])
    return {key: fill_in(child, secrets) for key, child in value.items()}


def _look_up(name: str, path: list[Any], secrets: Mapping[str, Any]) -> Any:
    if name not in secrets:
        raise SecretsUnavailable(f"the secret {name!r} was not handed out")
    found = secrets[name]
    try:
        if path and isinstance(found, str):
            found = json.loads(found)
        for step in path:
            found = found[int(step)] if isinstance(found, list) else found[step]
    except (KeyError, IndexError, TypeError, ValueError):
        # The value itself must not get into a message.
        raise SecretsUnavailable(f"the secret {name!r} has no part {path!r}") from None
    return found


def _call(name: str, arguments: list[Any]) -> Any:
    function = _FUNCTIONS.get(name)
    if function is None:
        raise SecretsUnavailable(f"an input calls {name!r} with a secret, and this agent does not know that function")
    try:
        return function(*arguments)
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        # The text of the error may hold the secret.
        kind = type(error).__name__
        raise SecretsUnavailable(f"an input that is made of a secret cannot be computed by {name}: {kind}") from None


def _merge(*mappings: Any) -> dict[str, Any]:
    return {key: value for mapping in mappings for key, value in mapping.items()}


def _split(text: str, separator: str, index: Any = None) -> Any:
    parts = text.split(separator)
    return parts if index is None else parts[int(index)]


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "concat": lambda *parts: "".join(str(part) for part in parts),
    "merge": _merge,
    "string_find": lambda text, word: text.find(word),
    "string_replace": lambda text, old, new, count=-1: text.replace(str(old), str(new), int(count)),
    "string_split": _split,
    "string_lower": lambda text: text.lower(),
    "string_upper": lambda text: text.upper(),
}
