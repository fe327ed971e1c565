"""A path that is served with other methods says so; one that is not served at all is not found."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.managers import Running, manager_here


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with manager_here(tmp_path_factory.mktemp("manager")) as (running, _manager):
        yield running


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/status", "GET"),
        # A list that goes straight to its endpoint, and shares its path with other routes.
        ("PATCH", "/executions", "DELETE, GET, POST"),
        ("PUT", "/executions/some-id", "GET, PATCH, POST"),
        ("GET", "/searches/deployments", "POST"),
        ("OPTIONS", "/status", "GET"),
        ("POST", "/outrider/v1/fleet", "GET"),
        ("POST", "/resources/deployments/default_tenant/app/a/file", "DELETE, GET, PUT"),
        # The page's own files.
        ("POST", "/resources", "GET, HEAD"),
    ],
)
def test_another_method_is_refused_with_those_that_are_served(
    running: Running, method: str, path: str, allowed: str
) -> None:
    refused = running.call(method, path)
    assert (refused.status_code, refused.headers["Allow"]) == (405, allowed)
    body = refused.json()
    assert (body["error_code"], body["server_traceback"]) == ("method_not_allowed_error", None)
    assert body["message"].startswith(f"{method} ")
    assert body["message"].endswith(f" is not offered: this path takes {allowed}")


def test_head_is_refused_without_a_body(running: Running) -> None:
    refused = running.call("HEAD", "/status")
    assert (refused.status_code, refused.headers["Allow"], refused.content) == (405, "GET", b"")


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_what_is_not_served_at_all_is_not_found(running: Running, method: str) -> None:
    missing = running.call(method, "/snapshots/one")
    assert (missing.status_code, missing.json()["error_code"]) == (404, "not_found_error")
    assert "not found" in missing.json()["message"]


def test_the_page_is_still_served(running: Running) -> None:
    assert "<html" in running.session.get(f"{running.url}/", timeout=60).text
