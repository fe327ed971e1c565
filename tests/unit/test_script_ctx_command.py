"""The context's server and the `ctx` command, at the level of the protocol."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from outrider.plugins.script.environment import CTX_COMMAND
from outrider.plugins.script.errors import ScriptException
from outrider.plugins.script.proxy import ContextServer
from outrider.plugins.script.walk import WalkError, walk


def stop(message: str) -> None:
    """Stand for abort_operation."""
    raise ScriptException(message)


@pytest.fixture
def context() -> SimpleNamespace:
    return SimpleNamespace(
        properties={"a": {"b": [{"c": 5}]}, "empty": "", "zero": 0},
        join=lambda *parts, sep="": sep.join(parts),
        answer=lambda: 42,
        plain_name="x",
        stop=stop,
        not_json=lambda: {1},
    )


@pytest.fixture
def server(context: SimpleNamespace) -> Iterator[ContextServer]:
    with ContextServer(context) as server:
        yield server


def ask(url: str, body: bytes) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=10) as answer:
        return json.loads(answer.read())


def command(server: ContextServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-IS", str(CTX_COMMAND), *arguments],
        env={"CTX_SOCKET_URL": server.url},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=30,
        check=False,
    )


def test_the_walk_finds_attributes_paths_and_calls(context: SimpleNamespace) -> None:
    assert walk(context, ["plain-name"]) == "x"
    assert walk(context, ["properties", "a.b[0].c"]) == 5
    assert walk(context, ["answer"]) == 42
    assert walk(context, ["join", "a", "b", {"sep": "-"}]) == "a-b"
    walk(context, ["properties", "new.deep", 1])
    assert context.properties["new"] == {"deep": 1}
    for wrong in (["properties", "a[7]"], ["properties", "a..b"], ["properties", "a", 1, 2], ["nothing"]):
        with pytest.raises(WalkError, match="illegal"):
            walk(context, wrong)


def test_no_name_server_is_asked_for_the_servers_name(
    monkeypatch: pytest.MonkeyPatch, context: SimpleNamespace
) -> None:
    def looked_up(*_names: str) -> str:
        raise AssertionError("a name was looked up")

    monkeypatch.setattr(socket, "getfqdn", looked_up)
    monkeypatch.setattr(socket, "gethostbyaddr", looked_up)
    with ContextServer(context) as server:
        assert ask(server.url, b'{"args": ["plain_name"]}') == {"type": "result", "payload": "x"}


def test_a_server_that_was_never_started_closes() -> None:
    server = ContextServer(None)
    server.close()
    with pytest.raises(ConnectionRefusedError), socket.socket() as client:
        client.connect(("127.0.0.1", server.port))


def test_the_protocol_answers_in_three_kinds(server: ContextServer) -> None:
    assert ask(server.url, b'{"args": ["answer"]}') == {"type": "result", "payload": 42}
    assert ask(server.url, b'{"args": ["stop", "enough"]}')["type"] == "stop_operation"
    error = ask(server.url, b'{"args": ["nothing"]}')
    assert error["type"] == "error"
    assert error["payload"]["type"] == "WalkError"
    assert "set" in ask(server.url, b'{"args": ["not_json"]}')["payload"]["message"]


@pytest.mark.parametrize(("path", "body", "status"), [("/", b'{"args": []}', 404), ("", b"[]", 400), ("", b"{", 400)])
def test_garbage_and_strangers_are_refused(server: ContextServer, path: str, body: bytes, status: int) -> None:
    url = f"http://127.0.0.1:{server.port}{path}" if path else server.url
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(url, body)
    assert refused.value.code == status
    refused.value.close()


def test_the_command_prints_values_as_text_or_json(server: ContextServer) -> None:
    assert command(server, "join", "ä", "b", '@{"sep": "/"}').stdout == "ä/b\n"
    assert command(server, "properties", "zero").stdout == ""
    assert command(server, "-j", "properties", "zero").stdout == "0\n"
    assert command(server, "properties", "a").stdout == "{'b': [{'c': 5}]}\n"
    assert command(server, "--json-arg-prefix=%", "join", "@x").stdout == "@x\n"


def test_the_command_fails_with_one_line_on_stderr(server: ContextServer) -> None:
    stopped = command(server, "stop", "enough")
    assert (stopped.returncode, stopped.stdout, stopped.stderr) == (1, "", "enough\n")
    assert "is not JSON" in command(server, "join", "@{").stderr
    assert "is not known" in command(server, "--nope").stderr
    assert "usage" in command(server, "--help").stdout
    unreachable = command(server, "--socket-url", "http://127.0.0.1:9", "answer")
    assert (unreachable.returncode, "refused" in unreachable.stderr.lower()) == (1, True)


def test_the_command_starts_without_slow_imports(server: ContextServer) -> None:
    traced = subprocess.run(
        [sys.executable, "-IS", "-X", "importtime", str(CTX_COMMAND), "answer"],
        env={"CTX_SOCKET_URL": server.url},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in traced.stderr.splitlines()}
    assert traced.stdout == "42\n"
    assert not {"json", "re", "argparse", "socket", "urllib", "http.client", "site"} & imported
