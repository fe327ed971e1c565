"""The argument walk: how ``ctx instance runtime-properties key value`` finds its way through a context object.

Used by `proxy` for the `ctx` command. Starting at the context, each argument is

- the name of an attribute (``-`` may stand for ``_``), or
- at a mapping: a path such as ``a.b[0].c`` that is read, or set if a value follows, or
- at a function: its first argument; all that follow are arguments too, and a last one that is a mapping is
  keywords, if the function takes such ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

_STEP = re.compile(r"\[(\d+)\]|\.?([^.\[\]]+)")


class WalkError(Exception):
    """The arguments lead nowhere; the text says where they stopped."""


def walk(start: Any, arguments: Sequence[Any]) -> Any:
    """Return what the arguments lead to. Raises `WalkError`, and what called functions raise."""
    current = start
    for position, argument in enumerate(arguments):
        rest = arguments[position:]
        if isinstance(current, Mapping):
            return _at_mapping(current, rest)
        if callable(current):
            return _call(current, rest)
        current = _attribute(current, argument)
    return current() if callable(current) else current


def _attribute(owner: Any, name: Any) -> Any:
    for candidate in (str(name), str(name).replace("-", "_")):
        if hasattr(type(owner), candidate) or hasattr(owner, candidate):
            # Not getattr with a default: what a property raises says more than that it is missing.
            return getattr(owner, candidate)
    raise WalkError(f"illegal attribute: {name} (of {type(owner).__name__})")


def _call(function: Any, arguments: Sequence[Any]) -> Any:
    if isinstance(arguments[-1], Mapping) and _takes_keywords(function, arguments[:-1], arguments[-1]):
        return function(*arguments[:-1], **arguments[-1])
    return function(*arguments)


def _takes_keywords(function: Any, positional: Sequence[Any], keywords: Mapping[str, Any]) -> bool:
    """Say whether a last mapping is keywords; if the function has no such ones, it is an argument like the others."""
    try:
        signature(function).bind(*positional, **keywords)
    except TypeError:
        return False
    except ValueError:  # a function that does not tell
        return True
    return True


def _at_mapping(mapping: Any, arguments: Sequence[Any]) -> Any:
    if len(arguments) == 1:
        return read_path(mapping, arguments[0])
    if len(arguments) == 2:
        write_path(mapping, arguments[0], arguments[1])
        return None
    raise WalkError(
        f"illegal arguments at a mapping: {' '.join(map(str, arguments))} (expected a path, or path and value)"
    )


def read_path(mapping: Any, path: str) -> Any:
    """Return the value at ``a.b[0].c``. Raises `WalkError`."""
    value = mapping
    try:
        for step in _steps(path):
            value = value[step]
    except (LookupError, TypeError):
        raise WalkError(f"illegal path: {path}") from None
    return value


def write_path(mapping: Any, path: str, value: Any) -> None:
    """Set the value at ``a.b[0].c``; mappings on the way are made, list items must exist. Raises `WalkError`."""
    steps = _steps(path)
    owner = mapping
    try:
        for step in steps[:-1]:
            if isinstance(owner, Mapping) and step not in owner:
                owner[step] = {}  # type: ignore[index]  # a dict: contexts have no other mappings
            owner = owner[step]
        owner[steps[-1]] = value
    except (LookupError, TypeError):
        raise WalkError(f"illegal path: {path}") from None


def _steps(path: str) -> list[Any]:
    """Split ``a.b[0]`` into ``["a", "b", 0]``."""
    steps: list[Any] = []
    position = 0
    for match in _STEP.finditer(path):
        if match.start() != position:
            break
        position = match.end()
        steps.append(int(match[1]) if match[1] is not None else match[2])
    if not steps or position != len(path):
        raise WalkError(f"illegal path: {path}")
    return steps
