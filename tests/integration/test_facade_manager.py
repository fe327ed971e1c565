"""What existing plugins ask of a manager, asked of ours, with an account from the agent's environment."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from outrider.plugins.sdk.testing import made_up_context
from tests.support.facade import facade_on_path
from tests.support.managers import Running, manager_here


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The client of an operation whose agent was told about a manager."""
    with manager_here(tmp_path) as (running, _), facade_on_path():
        variables = {"HOST": "127.0.0.1", "PORT": str(running.port), "PROTOCOL": "http", "TOKEN": _token(running)}
        for name, value in variables.items():
            monkeypatch.setenv(f"REST_{name}", value)
        with made_up_context():
            yield import_module("cloudify.manager").get_rest_client()


def _token(running: Running) -> str:
    return str(running.call("POST", "/tokens", json={}).json()["value"])


def test_secrets_and_lists_are_those_of_the_manager(client: Any) -> None:
    client.secrets.create("region", "eu-west-1")
    client.secrets.update("region", "eu-west-2")
    assert client.secrets.get("region").value == "eu-west-2"
    assert [each.key for each in client.secrets.list()] == ["region"]
    client.secrets.delete("region")
    for resource in (client.secrets, client.deployments, client.nodes, client.node_instances, client.executions):
        assert list(resource.list()) == []
    # Plugins compare it as a dotted version.
    assert int(client.manager.get_version()["version"].partition(".")[0]) >= 6


def test_what_is_not_there_is_the_error_that_plugins_expect(client: Any) -> None:
    errors = import_module("cloudify_rest_client.exceptions")
    with pytest.raises(errors.CloudifyClientError) as caught:
        client.deployments.get("nothing")
    assert (caught.value.status_code, caught.value.error_code) == (404, "not_found_error")
