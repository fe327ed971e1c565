"""The language as a JSON Schema (draft 2020-12), made from the same declarations that check blueprints.

Editors use it to complete and check blueprints while they are written.
"""

from __future__ import annotations

from typing import Any

from outrider.dispatcher.blueprint.sections import BLUEPRINT, SECTIONS
from outrider.dispatcher.blueprint.shapes import (
    Anything,
    Either,
    Field,
    Flag,
    Items,
    Nothing,
    Record,
    Shape,
    Table,
    Text,
    Whole,
)
from outrider.dispatcher.blueprint.versions import KEY, KNOWN


def json_schema() -> dict[str, Any]:
    """Return the schema of a blueprint's main file."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Blueprint",
        **_shape(BLUEPRINT),
        "required": [KEY],
    }
    schema["properties"][KEY] = {"enum": list(KNOWN), "description": SECTIONS[KEY].text}
    return schema


def _shape(shape: Shape) -> dict[str, Any]:  # noqa: PLR0911 - one line per shape
    match shape:
        case Text(choices=choices) if choices:
            return {"enum": list(choices)}
        case Text(numbers=numbers):
            return {"type": ["string", "number"] if numbers else "string"}
        case Flag():
            return {"type": "boolean"}
        case Whole(least=least, fraction=fraction):
            kind = {"type": "number" if fraction else "integer"}
            return kind if least is None else {**kind, "minimum": least}
        case Nothing():
            return {"type": "null"}
        case Table(of=inner):
            return {"type": ["object", "null"], "additionalProperties": _shape(inner)}
        case Items(of=inner):
            return {"type": "array", "items": _shape(inner)}
        case Record(fields=fields):
            required = [name for name, field in fields.items() if field.required]
            return {
                "type": "object",
                "properties": {name: _field(field) for name, field in fields.items()},
                "additionalProperties": False,
                **({"required": required} if required else {}),
            }
        case Either(options=options):
            return {"anyOf": [_shape(option) for option in options]}
        case Anything():
            return {}


def _field(field: Field) -> dict[str, Any]:
    since = f" (since {field.since[0]}.{field.since[1]})" if field.since > (1, 0) else ""
    text = field.text + since
    shape = _shape(field.shape)
    return {**shape, "description": text} if text else shape
