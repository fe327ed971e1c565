"""The forms in which a value travels that holds a secret, so that only the agent sees the secret.

Messages, the store and logs carry evaluated inputs. A secret stands there as a reference, and what is made of it as a
recipe. The agent redeems the secrets just before the operation starts and follows the recipes. The format, which the
agent implements on its own because it cannot import this package, is a JSON object with one of these keys:

=====================================  ===========================================================================
form                                   stands for
=====================================  ===========================================================================
``{"$secret": NAME}``                  the secret's value
``{"$secret": NAME, "path": [K, …]}``  the value read as JSON, then followed by keys and indexes
``{"$concat": [PART, …]}``             the parts joined as text; a part may hold any of these forms
``{"$call": FUNCTION, "args": [A…]}``  `merge` or a ``string_…`` function of the blueprint language
``{"$literal": VALUE}``                VALUE as it is: data that looks like one of these forms, and is not
=====================================  ===========================================================================

Forms stand anywhere in a value and nest. `redeem` is the reference implementation. Standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

SECRET, CONCAT, CALL, LITERAL = "$secret", "$concat", "$call", "$literal"
MARKERS = frozenset({SECRET, CONCAT, CALL, LITERAL})


def secret_marker(name: str, path: list[Any]) -> dict[str, Any]:
    """Return the reference to a secret, or to a part of one that holds JSON."""
    return {SECRET: name, "path": path} if path else {SECRET: name}


def is_marker(value: object) -> bool:
    """Return whether a value is one of the forms above."""
    return isinstance(value, dict) and not MARKERS.isdisjoint(value)


def has_markers(value: object) -> bool:
    """Return whether one of the forms stands anywhere in a value."""
    if isinstance(value, dict):
        return is_marker(value) or any(has_markers(item) for item in value.values())
    if isinstance(value, list):
        return any(has_markers(item) for item in value)
    return False


def secret_names(value: object) -> set[str]:
    """Return the secrets that a value needs; for `OperationTask.secrets`."""
    if isinstance(value, dict):
        if LITERAL in value:
            return set()
        own = {value[SECRET]} if SECRET in value else set()
        return own.union(*(secret_names(item) for item in value.values()))
    if isinstance(value, list):
        return set[str]().union(*(secret_names(item) for item in value))
    return set()


def protect(value: Any) -> Any:
    """Wrap data that looks like a form, so that what an operation stored can never name a secret."""
    if isinstance(value, dict):
        if is_marker(value):
            return {LITERAL: value}
        return {key: protect(item) for key, item in value.items()}
    if isinstance(value, list):
        return [protect(item) for item in value]
    return value


def read_path(value: Any, path: list[Any]) -> Any:
    """Follow keys and indexes into a secret's value, which is read as JSON when it is text."""
    current = json.loads(value) if path and isinstance(value, str) else value
    for step in path:
        current = current[int(step)] if isinstance(current, list) else current[step]
    return current


def redeem(value: Any, secrets: Mapping[str, Any], call: Callable[[str, list[Any]], Any]) -> Any:
    """Return a value with every form replaced; `call` computes a named function of ready arguments."""
    if isinstance(value, list):
        return [redeem(item, secrets, call) for item in value]
    if not isinstance(value, dict):
        return value
    if LITERAL in value:
        return value[LITERAL]
    if SECRET in value:
        return read_path(secrets[value[SECRET]], value.get("path", []))
    if CONCAT in value:
        return "".join(str(redeem(part, secrets, call)) for part in value[CONCAT])
    if CALL in value:
        return call(value[CALL], [redeem(item, secrets, call) for item in value["args"]])
    return {key: redeem(item, secrets, call) for key, item in value.items()}
