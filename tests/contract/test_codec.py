"""The wire form of messages: recorded samples, round trips, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outrider.messaging.codec import decode, encode, from_json, to_json
from outrider.messaging.errors import DecodeError, EncodeError
from outrider.messaging.messages import ControlReply, Message, OperationResult, OperationTask, Verdict
from outrider.messaging.writing import Written, text_of, write_json
from tests.support.messages import one_of_each, operation_task

SAMPLES = Path(__file__).parent / "samples"
EXAMPLES = {type(message).__name__: message for message in one_of_each()}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def values_of(annotation: Any) -> st.SearchStrategy:
    """Return a strategy for an annotation of a message's field."""
    if annotation is Any:
        return json_values
    if annotation is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    if dataclasses.is_dataclass(annotation):
        hints = typing.get_type_hints(annotation)
        return st.builds(annotation, **{field: values_of(hint) for field, hint in hints.items()})
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is tuple:
        return st.lists(values_of(arguments[0]), max_size=2).map(tuple)
    if origin is typing.Union:
        return st.none() | values_of(arguments[0])
    if arguments:  # Mapping[str, Any]
        return st.dictionaries(st.text(), json_values, max_size=2)
    return st.from_type(annotation)


def wire(message: Message) -> dict:
    envelope: dict = json.loads(encode(message))
    return envelope


def has_all_of(now: Any, recorded: Any) -> bool:
    """Tell whether everything recorded is still said; objects, also inner ones, may have more fields now."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        return all(name in now and has_all_of(now[name], value) for name, value in recorded.items())
    if isinstance(recorded, list) and isinstance(now, list) and len(recorded) == len(now):
        return all(has_all_of(*pair) for pair in zip(now, recorded))
    return bool(now == recorded)


def task_with(**changes: object) -> bytes:
    envelope = wire(operation_task())
    envelope["body"].update(changes)
    return json.dumps(envelope).encode()


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_recorded_sample_of_version_1_decodes_to_the_message_that_it_was_made_from(name: str) -> None:
    assert decode((SAMPLES / "v1" / f"{name}.json").read_bytes()) == EXAMPLES[name]


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_message_of_this_release_has_every_field_of_its_recorded_sample(name: str) -> None:
    """Fields may be added; one that was renamed, dropped or changed would not be understood by release 0.1.0."""
    recorded = json.loads((SAMPLES / "v1" / f"{name}.json").read_bytes())
    now = wire(EXAMPLES[name])
    assert now["version"] == recorded["version"]
    assert has_all_of(now["body"], recorded["body"])


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_message_survives_the_round_trip(name: str) -> None:
    message = EXAMPLES[name]
    assert decode(encode(message)) == message
    assert from_json(type(message), to_json(message)) == message


@pytest.mark.parametrize("name", sorted(EXAMPLES))
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_message_that_its_types_allow_survives_the_round_trip(name: str, data: st.DataObject) -> None:
    message = data.draw(values_of(type(EXAMPLES[name])))
    assert decode(encode(message)) == message


@pytest.mark.parametrize("name", sorted(EXAMPLES))
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_templates_write_what_the_standard_encoder_writes(name: str, data: st.DataObject) -> None:
    message = data.draw(values_of(type(EXAMPLES[name])))
    assert text_of(message) == write_json(to_json(message))


def test_a_field_that_no_template_fits_is_written_nevertheless() -> None:
    unfit: dict[str, Any] = {"timeout_seconds": 5, "start_window_seconds": 600, "attempt_number": 2.5}
    body = wire(dataclasses.replace(operation_task(), **unfit))["body"]
    assert {name: body[name] for name in unfit} == unfit


def test_an_object_that_was_written_ahead_is_carried_as_its_text() -> None:
    ahead = Written({"path": "é", "deep": {"a": [1, None]}})
    message = dataclasses.replace(operation_task(), inputs=ahead)
    assert message == dataclasses.replace(operation_task(), inputs=dict(ahead))
    assert encode(message) == encode(dataclasses.replace(operation_task(), inputs=dict(ahead)))
    ahead.text = '{"path":"made ahead"}'
    assert wire(message)["body"]["inputs"] == {"path": "made ahead"}


@given(value=json_values)
def test_any_json_value_is_kept_as_it_is(value: object) -> None:
    reply = ControlReply("r", "a", ok=True, payload={"value": value})
    assert decode(encode(reply)) == reply


def test_unknown_fields_are_ignored() -> None:
    assert decode(task_with(invented_later=[1, 2])) == operation_task()


def test_missing_fields_take_their_defaults() -> None:
    body = {"request_id": "r", "agent_id": "a", "ok": True}
    wire_form = json.dumps({"type": "ControlReply", "version": 1, "body": body}).encode()
    assert decode(wire_form) == ControlReply("r", "a", ok=True)


def test_read_only_mappings_are_written_as_objects() -> None:
    reply = ControlReply("r", "a", ok=True, payload=types.MappingProxyType({"b": types.MappingProxyType({"c": 1})}))
    assert wire(reply)["body"]["payload"] == {"b": {"c": 1}}


def deep(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), b"bytes", {1, 2}, deep(100_000)])
def test_a_value_that_json_does_not_have_is_refused(value: object) -> None:
    with pytest.raises(EncodeError, match="OperationResult cannot be written as JSON"):
        encode(OperationResult("a", "t", "e", "agent", "token", Verdict.SUCCEEDED, value=value))


def test_a_cycle_is_refused() -> None:
    value: dict = {}
    value["self"] = value
    with pytest.raises(EncodeError):
        encode(ControlReply("r", "a", ok=True, payload=value))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"attempt_id": 7}, "OperationTask.attempt_id: expected a string, found a number"),
        ({"attempt_number": True}, "OperationTask.attempt_number: expected a whole number, found a boolean"),
        ({"attempt_number": 1.5}, "OperationTask.attempt_number: expected a whole number, found a number"),
        ({"timeout_seconds": "60"}, "OperationTask.timeout_seconds: expected a number, found a string"),
        ({"timeout_seconds": 10**400}, "OperationTask.timeout_seconds: the number is too large"),
        ({"only_if_resumable": "yes"}, "OperationTask.only_if_resumable: expected true or false, found a string"),
        ({"resumed": 1}, "OperationTask.resumed: expected true or false, found a number"),
        ({"inputs": []}, "OperationTask.inputs: expected an object, found an array"),
        ({"secrets": ["a", None]}, "OperationTask.secrets[1]: expected a string, found null"),
        ({"secrets": "a"}, "OperationTask.secrets: expected an array, found a string"),
        ({"files": {}}, "OperationTask.files.url: is required and missing"),
        (
            {"plugin": {"name": "p", "version": "1", "mode": "thread"}},
            "OperationTask.plugin.mode: 'thread' is not one of fork, spawn",
        ),
        (
            {"plugin": {"name": "p", "version": "1", "wagons": [{"filename": "w", "sha256": 5, "size_bytes": 1}]}},
            "OperationTask.plugin.wagons[0].sha256: expected a string, found a number",
        ),
    ],
)
def test_a_field_that_does_not_fit_is_named_with_its_path(changes: dict, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(task_with(**changes))
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"[1]", "not a message: expected an object, found an array"),
        (b"[" * 100_000, "not JSON"),
        (b'{"type": "OperationTask", "version": 1, "body": {"attempt_number": NaN}}', "NaN is not JSON"),
        (b'{"type": "OperationTask", "version": 1, "body": {"timeout_seconds": 1e999}}', "too large"),
        (b'{"type": "OperationTask", "version": 1}', "OperationTask: expected an object, found null"),
        (b'{"type": "Exploit", "version": 1, "body": {}}', "type: 'Exploit' is not a message"),
        (b'{"type": ["OperationTask"], "version": 1, "body": {}}', "type: an array is not a message"),
        (b'{"type": "ControlReply", "body": {}}', "version: expected a number from 1, found nothing"),
        (b'{"type": "ControlReply", "version": 2, "body": {}}', "version 2, this release reads up to 1"),
    ],
)
def test_what_is_no_message_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(body)
    assert reason in str(caught.value)


def decodes_or_is_refused(body: bytes) -> None:
    try:
        message = decode(body)
    except DecodeError:
        return
    assert decode(encode(message)) == message


@given(body=st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_a_decode_error(body: bytes) -> None:
    decodes_or_is_refused(body)


@given(body=json_values, name=st.sampled_from(sorted(EXAMPLES)), version=json_values | st.just(1))
def test_random_envelopes_raise_nothing_but_a_decode_error(body: object, name: str, version: object) -> None:
    decodes_or_is_refused(json.dumps({"type": name, "version": version, "body": body}).encode())


@settings(max_examples=200, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(EXAMPLES)))
def test_a_message_with_one_field_replaced_raises_nothing_but_a_decode_error(data: st.DataObject, name: str) -> None:
    envelope = wire(EXAMPLES[name])
    spot = envelope["body"]
    key = data.draw(st.sampled_from(sorted(spot)))
    while isinstance(spot[key], dict) and spot[key] and data.draw(st.booleans()):
        spot = spot[key]
        key = data.draw(st.sampled_from(sorted(spot)))
    spot[key] = data.draw(json_values)
    decodes_or_is_refused(json.dumps(envelope).encode())


@given(data=st.data(), name=st.sampled_from(sorted(EXAMPLES)))
def test_a_message_with_flipped_bytes_raises_nothing_but_a_decode_error(data: st.DataObject, name: str) -> None:
    body = bytearray(encode(EXAMPLES[name]))
    for position in data.draw(st.lists(st.integers(0, len(body) - 1), max_size=4)):
        body[position] = data.draw(st.integers(0, 255))
    decodes_or_is_refused(bytes(body))


def test_an_operation_task_carries_its_type_in_the_envelope_and_not_in_its_dict_form() -> None:
    assert set(wire(operation_task())) == {"type", "version", "body"}
    assert "type" not in to_json(operation_task())
    assert isinstance(decode(encode(operation_task())), OperationTask)
