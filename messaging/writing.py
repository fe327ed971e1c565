"""Writes messages as JSON text, for `codec.encode`: one template per dataclass, filled with its fields' texts.

Dispatchers and agents write a message for every operation, so this is made for speed: a dict of the whole message for
the standard library's encoder takes three times as long. What a template cannot write as it is (a field that holds
something else than its annotation says) raises, and `codec` goes the long way, which decides what is allowed.
"""

from __future__ import annotations

import json
import math
import operator
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from json.encoder import encode_basestring_ascii as _quote
from typing import Any, Callable, Union

_Write = Callable[[Any], str]


class Written(dict[str, Any]):
    """A JSON object that goes into many messages, with its text, which is made once; nobody may change it."""

    __slots__ = ("text",)

    def __init__(self, value: Mapping[str, Any]) -> None:
        super().__init__(value)
        self.text = write_json(value)


def text_of(message: Any) -> str:
    """Return the JSON text of a dataclass of `messages`.

    Raises `TypeError`, `ValueError`, `KeyError` or `RecursionError` for what no template can write.
    """
    return _writer(type(message))(message)


def _foreign(value: Any) -> Any:
    """Return the plain form of a mapping that is no dict (a read-only view, say), deep inside a JSON field."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a value of type {type(value).__name__} is not JSON")


# ASCII output: lone surrogates, which file names of a host may hold, survive as escapes.
# No search for cycles: one ends in a RecursionError as well, and the search costs a quarter of the time.
write_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False, default=_foreign).encode

_writers: dict[Any, _Write] = {}


def _writer(annotation: Any) -> _Write:
    """Return what writes the values of one annotation of `messages`."""
    write = _writers.get(annotation)
    if write is None:
        # Two threads may compile the same one; the results are equal.
        write = _writers[annotation] = _compile(annotation)
    return write


def _compile(annotation: Any) -> _Write:
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if is_dataclass(annotation):
        return _object_writer(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _enum_writer(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is tuple:
        return _sequence_writer(_writer(arguments[0]))
    if origin is Union:
        return _optional_writer(_writer(arguments[0]))
    return _mapping


def _object_writer(cls: Any) -> _Write:
    annotations = typing.get_type_hints(cls)
    names = [field.name for field in fields(cls)]
    writers = [_writer(annotations[name]) for name in names]
    template = "{" + ",".join(f'"{name}":%s' for name in names) + "}"
    # One name alone would give a value instead of a tuple.
    values_of: Any = operator.attrgetter(*names) if len(names) > 1 else lambda value: (getattr(value, names[0]),)

    def write_object(value: Any) -> str:
        return template % tuple([write(item) for write, item in zip(writers, values_of(value))])

    return write_object


def _sequence_writer(write_item: _Write) -> _Write:
    def write_sequence(value: Any) -> str:
        return f"[{','.join([write_item(item) for item in value])}]" if value else "[]"

    return write_sequence


def _optional_writer(write: _Write) -> _Write:
    return lambda value: "null" if value is None else write(value)


def _enum_writer(cls: type[Enum]) -> _Write:
    texts = {member.value: write_json(member.value) for member in cls}
    # A member of these is a string, and found by it.
    return lambda value: texts[value]


def _mapping(value: Any) -> str:
    if value.__class__ is Written:
        text: str = value.text
        return text
    if not value:
        return "{}"
    return write_json(value if isinstance(value, dict) else dict(value))


def _anything(value: Any) -> str:
    return "null" if value is None else write_json(value)


def _number(value: Any) -> str:
    if value.__class__ is float and math.isfinite(value):
        return repr(value)
    return write_json(value)


_SCALARS: dict[Any, _Write] = {
    Any: _anything,
    str: _quote,
    # The types' own methods refuse what is of another type.
    int: int.__repr__,
    bool: {True: "true", False: "false"}.__getitem__,
    float: _number,
}
