"""JSON in text columns: compact, with non-JSON values refused where they are written."""

from __future__ import annotations

import json
from typing import Any

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def dump(value: Any) -> str:
    """Return `value` as JSON text; raises `TypeError` or `ValueError` for what JSON does not have."""
    # PostgreSQL's text has no NUL, and operations do return binary rubbish.
    return _ENCODER.encode(value).replace("\\u0000", "\\ufffd")


def load(text: str | None) -> Any:
    """Return the value of a column; None for NULL."""
    return None if text is None else json.loads(text)
