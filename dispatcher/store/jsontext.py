"""JSON in text columns: compact, with non-JSON values refused where they are written."""

from __future__ import annotations

import json
from typing import Any

from outrider.dispatcher.errors import NotStorable

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)


#: What most columns hold most of the time.
_EMPTY = {"{}": "{}", "[]": "[]", "()": "[]"}


def dump(value: Any) -> str:
    """Return `value` as JSON text; raises `TypeError` or `NotStorable` for what JSON does not have."""
    try:
        text = _ENCODER.encode(value) if value else _EMPTY.get(repr(value)) or _ENCODER.encode(value)
    except ValueError as error:
        reason = "a number in it is infinite, or not a number (.inf, .nan, 1e999)"
        raise NotStorable(f"{reason}: give it as text in quotes, or leave it out ({error})") from error
    # PostgreSQL's text has no NUL, and operations do return binary rubbish.
    return text.replace("\\u0000", "\\ufffd") if "\\u0000" in text else text


def load(text: str | None) -> Any:
    """Return the value of a column; None for NULL."""
    if text == "{}":  # as most columns hold most of the time: pages of hundreds of rows are read
        return {}
    if text == "[]":
        return []
    return None if text is None else json.loads(text)
