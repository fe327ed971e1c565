"""What is sent as a body and is none: refused with the reason, and nothing is kept that could not be shown later."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.managers import Running, manager_here

JSON = {"Content-Type": "application/json"}
#: JSON can write half of a character; no store, file or answer can hold it.
HALF = '"\\ud800"'


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with manager_here(tmp_path_factory.mktemp("manager")) as (running, _manager):
        yield running


@pytest.mark.parametrize(("method", "path", "body"), [
    ("PUT", "/secrets/half", f'{{"value": {HALF}}}'),
    ("PUT", "/secrets/half", f'{{"value": {{"deep": [{HALF}]}}}}'),
    ("PUT", "/deployments/half", f'{{"blueprint_id": "any", "inputs": {{{HALF}: 1}}}}'),
    ("POST", "/deployments/half/set-site", f'{{"site_name": {HALF}}}'),
    ("POST", "/executions", f'{{"deployment_id": "d", "workflow_id": "install", "parameters": {{"a": {HALF}}}}}'),
    ("POST", "/tokens", f'{{"description": {HALF}}}'),
])  # fmt: skip
def test_half_a_character_is_refused(served: Running, method: str, path: str, body: str) -> None:
    answer = served.call(method, path, data=body.encode(), headers=JSON)
    assert (answer.status_code, "half of a character" in answer.json()["message"]) == (400, True), answer.text
    assert served.call("GET", "/secrets/half").status_code == 404


def test_half_a_character_in_a_blueprints_parameters_is_refused(served: Running) -> None:
    parts = {"params": (None, f'{{"labels": [{{"a": {HALF}}}]}}'), "blueprint_archive": ("a.tar.gz", b"none")}
    answer = served.call("PUT", "/blueprints/half", files=parts)
    assert (answer.status_code, "half of a character" in answer.json()["message"]) == (400, True), answer.text


@pytest.mark.parametrize(("levels", "status"), [(200, 200), (256, 400), (2_000, 400), (100_000, 400)])
def test_what_is_nested_too_deeply_to_be_shown_is_refused(served: Running, levels: int, status: int) -> None:
    body = b'{"update_if_exists": true, "value": ' + b"[" * levels + b"]" * levels + b"}"
    assert served.call("PUT", "/secrets/deep", data=body, headers=JSON).status_code == status
    assert served.call("GET", "/secrets/deep").status_code == 200


def test_an_operation_may_log_half_a_character(served: Running) -> None:
    body = f'{{"logs": [{{"message": {{"text": {HALF}}}, "level": "info"}}]}}'
    assert served.call("POST", "/events", data=body.encode(), headers=JSON).status_code == 201
    assert served.call("GET", "/events").json()["items"][-1]["message"] == "?"


@pytest.mark.parametrize(("kind", "told"), [
    ("application/x-www-form-urlencoded", "the body says that it is 'application/x-www-form-urlencoded'"),
    ("text/plain", "the body says that it is 'text/plain'"),
    ("", "the body does not say what it is"),
])  # fmt: skip
def test_a_body_that_is_not_sent_as_json_is_refused_with_the_header_that_is_missing(
    served: Running, kind: str, told: str
) -> None:
    answer = served.call("PUT", "/secrets/typed", data=b'{"value": "v"}', headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert answer.json()["message"] == f"{told}: send JSON with the header Content-Type: application/json"


def test_a_body_of_another_shape_is_told_so(served: Running) -> None:
    answer = served.call("PUT", "/secrets/typed", data=b"[]", headers=JSON)
    assert (answer.status_code, "dictionary" in answer.text) == (400, True)


def test_a_new_user_says_when_it_was_made(served: Running) -> None:
    made = served.call("PUT", "/users", json={"username": "new", "password": "a password"}).json()
    assert made["created_at"] == served.call("GET", "/users/new").json()["created_at"]
    assert not made["created_at"].startswith("1970")


def test_what_lists_cannot_be_filtered_by_is_said_of_all_of_a_kind(served: Running) -> None:
    told = served.call("GET", "/events", params={"nothing": "x"}).json()["message"]
    assert told.startswith("events cannot be filtered by 'nothing'; they can be by: ")
