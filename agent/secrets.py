"""Secrets: redeemed just before an attempt's start, put in place of their markers, kept in memory only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outrider.agent.errors import SecretsUnavailable

_MARKER = "$secret"
_PATH = "path"


def fill_in(value: Any, secrets: Mapping[str, Any]) -> Any:
    """Return a copy of a JSON value in which each ``{"$secret": name, "path": […]}`` is its secret's value.

    Raises `SecretsUnavailable` naming a secret, or a place inside one, that was not handed out.
    """
    if isinstance(value, Mapping):
        if _MARKER in value and set(value) <= {_MARKER, _PATH}:
            return _look_up(str(value[_MARKER]), list(value.get(_PATH) or ()), secrets)
        return {key: fill_in(child, secrets) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [fill_in(child, secrets) for child in value]
    return value


def _look_up(name: str, path: list[Any], secrets: Mapping[str, Any]) -> Any:
    if name not in secrets:
        raise SecretsUnavailable(f"the secret {name!r} was not handed out")
    found = secrets[name]
    for step in path:
        try:
            found = found[int(step)] if isinstance(found, list) else found[step]
        except (KeyError, IndexError, TypeError, ValueError):
            # The value itself must not get into a message.
            raise SecretsUnavailable(f"the secret {name!r} has no part {path!r}") from None
    return found
