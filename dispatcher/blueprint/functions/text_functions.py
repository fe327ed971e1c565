"""Functions that compute with their arguments alone: concat, merge and the string functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from outrider.dispatcher.blueprint.errors import FunctionFailed


def concat(parts: list[Any]) -> str:
    """Join the parts as text."""
    return "".join(str(part) for part in parts)


def merge(mappings: list[Any]) -> dict[str, Any]:
    """Return one mapping; later ones win."""
    merged: dict[str, Any] = {}
    for mapping in mappings:
        if not isinstance(mapping, dict):
            raise FunctionFailed(f"merge takes mappings, and one of its arguments is {type(mapping).__name__}")
        merged.update(mapping)
    return merged


def _text(value: Any, function: str) -> str:
    if not isinstance(value, str):
        raise FunctionFailed(f"{function} takes text, and its argument is {type(value).__name__}")
    return value


def string_find(text: Any, word: Any) -> int:
    """Return where a word begins in a text, or -1."""
    return _text(text, "string_find").find(_text(word, "string_find"))


def string_replace(text: Any, old: Any, new: Any, count: Any = -1) -> str:
    """Replace a word, everywhere or `count` times."""
    return _text(text, "string_replace").replace(str(old), str(new), int(count))


def string_split(text: Any, separator: Any, index: Any = None) -> Any:
    """Return the parts of a text, or the one at `index`."""
    parts = _text(text, "string_split").split(_text(separator, "string_split"))
    if index is None:
        return parts
    try:
        return parts[int(index)]
    except IndexError:
        raise FunctionFailed(f"string_split: the text has {len(parts)} parts, and part {index} is asked for") from None


def string_lower(text: Any) -> str:
    """Return the text in lower case."""
    return _text(text, "string_lower").lower()


def string_upper(text: Any) -> str:
    """Return the text in upper case."""
    return _text(text, "string_upper").upper()


def _concat(*parts: Any) -> str:
    return concat(list(parts))


def _merge(*mappings: Any) -> dict[str, Any]:
    return merge(list(mappings))


TEXT_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "concat": _concat,
    "merge": _merge,
    "string_find": string_find,
    "string_replace": string_replace,
    "string_split": string_split,
    "string_lower": string_lower,
    "string_upper": string_upper,
}


def call(name: str, arguments: list[Any]) -> Any:
    """Compute a function of ready arguments; raises `FunctionFailed`."""
    try:
        return TEXT_FUNCTIONS[name](*arguments)
    except (TypeError, ValueError) as exc:
        raise FunctionFailed(f"{name} cannot take {len(arguments)} such arguments: {exc}") from exc
