"""The rule that what an operation hands over must be JSON, in one place.

`execute` applies it to return values, `properties` to runtime properties.
"""

from __future__ import annotations

import json

from outrider.plugins.sdk.errors import NotJson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def as_json(value: Any, *, what: str) -> Any:
    """Return the value as it arrives on the other side: tuples become lists, number keys strings.

    Raises `NotJson`, whose text starts with `what` and names the offending type.
    """
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJson(f"{what} is not JSON: it is, or contains, {_offender(value) or error}") from error


def canonical_text(value: Any) -> str:
    """Return a text that is equal for equal JSON values, and tells ``true`` from ``1``."""
    return json.dumps(value, sort_keys=True)


def _offender(value: Any, place: str = "", depth: int = 20) -> str:
    """Name the type, and the place inside the value, of the first thing that is not JSON."""
    if value is None or isinstance(value, (str, bool, int)):
        return ""
    at = f" at {place}" if place else ""
    if isinstance(value, float):
        return "" if value - value == 0 else f"the number {value}{at}"
    if not isinstance(value, (dict, list, tuple)):
        return f"a {type(value).__module__}.{type(value).__qualname__}{at}"
    if depth == 0:
        return "a value nested too deeply, or in itself"
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in children:
        if found := _offender(child, f"{place}[{key!r}]", depth - 1):
            return found
        if isinstance(key, tuple):
            return f"the key {key!r}{at}"
    return ""
