"""Placeholders in the table's texts: ``$id``, ``$config.VpcId``, ``$property.device_name``.

A text that is one placeholder becomes the value itself, of any type; inside a longer text it becomes its text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_PLACEHOLDER = re.compile(r"\$([A-Za-z_]+(?:\.[A-Za-z_]+)*)")


class UnknownValue(LookupError):
    """A placeholder stands for something that is not known (yet)."""


def expand(template: Any, values: Mapping[str, Any]) -> Any:
    """Return the template with its placeholders replaced. Raises `UnknownValue`."""
    if isinstance(template, str):
        whole = _PLACEHOLDER.fullmatch(template)
        if whole:
            return _value(whole[1], values)
        return _PLACEHOLDER.sub(lambda match: str(_value(match[1], values)), template)
    if isinstance(template, Mapping):
        return {key: expand(value, values) for key, value in template.items()}
    if isinstance(template, (list, tuple)):
        return [expand(value, values) for value in template]
    return template


def _value(path: str, values: Mapping[str, Any]) -> Any:
    value: Any = values
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if value in (None, ""):
        raise UnknownValue(path)
    return value
