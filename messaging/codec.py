"""Messages as JSON and back.

The transport carries bytes; dispatcher and agents deal in the dataclasses of `messages`. The wire form is one JSON
object, UTF-8::

    {"type": "OperationTask", "version": 1, "body": {… the dataclass's fields …}}

How sender and receiver of different releases understand each other:

* a field that the receiver does not know is ignored;
* a field that is missing takes the dataclass's default; if it has none, the message is invalid;
* every field is written, also one that equals its default: what a message means does not depend on the receiver's
  defaults;
* `VERSION` rises only for a change that an older receiver would misunderstand; it refuses the message by name.

A codec is compiled once per dataclass from its annotations, on first use; JSON mappings pass through uncopied. What
decodes encodes again: numbers that JSON does not have (NaN, infinity) are refused in both directions.
"""

from __future__ import annotations

import json
import math
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any, Callable, NamedTuple, NoReturn, Optional, TypeVar, Union

from outrider.messaging.errors import DecodeError, EncodeError
from outrider.messaging.messages import Message
from outrider.messaging.writing import text_of, write_json

VERSION = 1

_MESSAGE_TYPES: dict[str, type[Message]] = {cls.__name__: cls for cls in typing.get_args(Message)}

_T = TypeVar("_T")
_Convert = Callable[[Any], Any]


class _Mismatch(Exception):
    """A JSON value does not fit; each level that it passes on its way up adds its step to the path."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[str] = []


class _Codec(NamedTuple):
    """Both directions for one annotation; `encode` is None where the value is JSON already."""

    encode: Optional[_Convert]
    decode: _Convert
    #: Values of exactly this type are taken as they are, without `decode`: it is called for every field.
    exact: Optional[type] = None


_compiled: dict[Any, _Codec] = {}


def encode(message: Message) -> bytes:
    """Return the message's wire form; raises `EncodeError` if it holds a value that JSON does not have."""
    name = type(message).__name__
    try:
        text = text_of(message)
    except (TypeError, ValueError, KeyError, RecursionError):
        text = _long_way(message)
    return f'{{"type":"{name}","version":{VERSION},"body":{text}}}'.encode("ascii")


def _long_way(message: Message) -> str:
    """Write what no template fits, or say what is wrong with it."""
    try:
        return write_json(to_json(message))
    except (TypeError, ValueError, RecursionError) as error:
        raise EncodeError(f"{type(message).__name__} cannot be written as JSON: {error}") from error


def decode(body: bytes) -> Message:
    """Return the message that `body` holds; raises `DecodeError`, whatever the bytes are."""
    try:
        envelope = _read(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"not JSON: {error}") from error
    if not isinstance(envelope, dict):
        raise DecodeError(f"not a message: expected an object, found {_kind(envelope)}")
    name, version = envelope.get("type"), envelope.get("version")
    message_type = _MESSAGE_TYPES.get(name) if isinstance(name, str) else None
    if message_type is None:
        raise DecodeError(f"type: {_show(name)} is not a message that this release knows")
    if type(version) is not int or version < 1:
        raise DecodeError(f"version: expected a number from 1, found {_show(version)}")
    if version > VERSION:
        raise DecodeError(
            f"version: {name} has version {version}, this release reads up to {VERSION}; upgrade the receiver"
        )
    return from_json(message_type, envelope.get("body"))


def to_json(value: Any) -> dict[str, Any]:
    """Return a dataclass of `messages` as a plain dict for `json.dumps`; JSON mappings inside are not copied."""
    encode_object = _codec(type(value)).encode
    if encode_object is None:
        raise TypeError(f"{type(value).__name__} is not a dataclass of outrider.messaging.messages")
    data: dict[str, Any] = encode_object(value)
    return data


def from_json(cls: type[_T], data: Any) -> _T:
    """Return the dataclass `cls` of `messages` from its dict form; raises `DecodeError` with the field's path."""
    try:
        value: _T = _codec(cls).decode(data)
    except _Mismatch as error:
        path = "".join([cls.__name__, *reversed(error.path)])
        raise DecodeError(f"{path}: {error.reason}") from None
    return value


def _codec(annotation: Any) -> _Codec:
    """Return the codec for one annotation of `messages`."""
    codec = _compiled.get(annotation)
    if codec is None:
        # Two threads may compile the same one; the results are equal.
        codec = _compiled[annotation] = _compile(annotation)
    return codec


def _compile(annotation: Any) -> _Codec:
    if annotation is Any:
        return _Codec(None, _unchanged)
    if is_dataclass(annotation):
        return _object_codec(annotation)
    if annotation in _SCALARS:
        return _Codec(None, _SCALARS[annotation], annotation)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _enum_codec(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is tuple and arguments[1:] == (Ellipsis,):
        return _sequence_codec(_codec(arguments[0]))
    if origin is Union and len(arguments) == 2 and arguments[1] is type(None):
        return _optional_codec(_codec(arguments[0]))
    if origin is dict or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return _Codec(_plain_mapping, _mapping, dict)
    raise TypeError(f"messages cannot have fields of type {annotation!r}: teach outrider.messaging.codec first")


def _object_codec(cls: Any) -> _Codec:
    annotations = typing.get_type_hints(cls)
    codecs = {field.name: _codec(annotations[field.name]) for field in fields(cls)}
    encoders = tuple((name, codec.encode) for name, codec in codecs.items() if codec.encode is not None)
    decoders = {name: (codec.exact, codec.decode) for name, codec in codecs.items()}
    required = tuple(f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING)

    def encode_object(value: Any) -> dict[str, Any]:
        data = dict(vars(value))
        for name, encode_field in encoders:
            data[name] = encode_field(data[name])
        return data

    def decode_object(data: Any) -> Any:
        if not isinstance(data, dict):
            _expected("an object", data)
        arguments = {}
        name = ""
        try:
            for name, item in data.items():
                if name in decoders:
                    exact, decode_field = decoders[name]
                    arguments[name] = item if item.__class__ is exact else decode_field(item)
        except _Mismatch as error:
            error.path.append(f".{name}")
            raise
        if len(arguments) < len(decoders):
            _require(required, arguments)
        return cls(**arguments)

    return _Codec(encode_object, decode_object)


def _require(names: tuple[str, ...], found: dict[str, Any]) -> None:
    for name in names:
        if name not in found:
            missing = _Mismatch("is required and missing")
            missing.path.append(f".{name}")
            raise missing


def _sequence_codec(item: _Codec) -> _Codec:
    encode_item, decode_item = item.encode, item.decode

    def encode_sequence(value: Any) -> list[Any]:
        return list(value) if encode_item is None else [encode_item(element) for element in value]

    def decode_sequence(data: Any) -> tuple[Any, ...]:
        if not isinstance(data, list):
            _expected("an array", data)
        elements: list[Any] = []
        try:
            for element in data:
                elements.append(decode_item(element))  # noqa: PERF401 - its length names the element that does not fit
        except _Mismatch as error:
            error.path.append(f"[{len(elements)}]")
            raise
        return tuple(elements)

    return _Codec(encode_sequence, decode_sequence)


def _optional_codec(inner: _Codec) -> _Codec:
    encode_inner, decode_inner = inner.encode, inner.decode

    def encode_optional(value: Any) -> Any:
        return None if value is None or encode_inner is None else encode_inner(value)

    def decode_optional(data: Any) -> Any:
        return None if data is None else decode_inner(data)

    return _Codec(None if encode_inner is None else encode_optional, decode_optional, inner.exact)


def _enum_codec(cls: type[Enum]) -> _Codec:
    members = {member.value: member for member in cls}

    def encode_member(value: Any) -> Any:
        return cls(value).value

    def decode_member(data: Any) -> Enum:
        member = members.get(data) if isinstance(data, str) else None
        if member is None:
            raise _Mismatch(f"{_show(data)} is not one of {', '.join(map(str, members))}")
        return member

    return _Codec(encode_member, decode_member)


def _unchanged(data: Any) -> Any:
    return data


def _plain_mapping(value: Mapping[str, Any]) -> dict[str, Any]:
    return value if isinstance(value, dict) else dict(value)


def _mapping(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        _expected("an object", data)
    mapping: dict[str, Any] = data
    return mapping


def _string(data: Any) -> str:
    if not isinstance(data, str):
        _expected("a string", data)
    text: str = data
    return text


def _boolean(data: Any) -> bool:
    if data is not True and data is not False:
        _expected("true or false", data)
    return data is True


def _integer(data: Any) -> int:
    if type(data) is not int:  # a bool is an int to isinstance, not to us
        _expected("a whole number", data)
    number: int = data
    return number


def _number(data: Any) -> float:
    if type(data) is float:
        return data
    if type(data) is not int:
        _expected("a number", data)
    try:
        return float(data)
    except OverflowError:
        raise _Mismatch("the number is too large") from None


_SCALARS: dict[Any, _Convert] = {str: _string, bool: _boolean, int: _integer, float: _number}


def _expected(what: str, found: Any) -> NoReturn:
    raise _Mismatch(f"expected {what}, found {_kind(found)}")


def _kind(data: Any) -> str:
    """Return what a JSON value is, without its content, which may be a secret or very long."""
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(data), "a number")


def _show(data: Any) -> str:
    """Return a short name from a message for an error text."""
    if data is None:
        return "nothing"
    return repr(data[:64]) if isinstance(data, str) else _kind(data)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_read = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant).decode
