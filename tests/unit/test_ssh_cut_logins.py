"""A login whose line breaks is told from one that the host refuses, wherever it breaks."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from outrider.plugins.ssh.access.connection import connect
from outrider.plugins.ssh.access.errors import ConnectionLost, HostUnreachable, LoginRefused
from outrider.plugins.ssh.access.hostkeys import fingerprint
from outrider.plugins.ssh.access.target import HostKeys, SshTarget
from tests.support.lines import Line, line_to


class OneUser(paramiko.ServerInterface):
    """Lets `admin` in with any key; `asked` is called when one is shown."""

    def __init__(self, asked: Callable[[], None]) -> None:
        self._asked = asked

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self._asked()
        return paramiko.AUTH_SUCCESSFUL if username == "admin" else paramiko.AUTH_FAILED


@contextlib.contextmanager
def ssh_server(host_key: paramiko.PKey, *, asked: Callable[[], None] = lambda: None) -> Iterator[int]:
    """Yield the port of an SSH server."""
    transports: list[paramiko.Transport] = []

    def serve(server: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the server was closed
            while True:
                transport = paramiko.Transport(server.accept()[0])
                transports.append(transport)
                transport.add_server_key(host_key)
                transport.start_server(event=threading.Event(), server=OneUser(asked))

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(30)
            for transport in transports:
                transport.close()
                transport.join(30)


@pytest.fixture
def own_key(tmp_path: Path) -> Path:
    """Return a private key file."""
    path = tmp_path / "id"
    paramiko.ECDSAKey.generate().write_private_key_file(str(path))
    return path


def target_of(port: int, host_key: paramiko.PKey, own_key: Path) -> SshTarget:
    """Return the server."""
    keys = HostKeys(fingerprint=fingerprint(host_key))
    return SshTarget("127.0.0.1", "admin", port=port, key_file=own_key, use_agent=False, host_keys=keys)


def test_a_login_that_is_cut_anywhere_is_not_taken_for_a_refused_one(own_key: Path) -> None:
    host_key = paramiko.ECDSAKey.generate()
    with ssh_server(host_key) as port, line_to(target_of(port, host_key, own_key)) as line:
        with connect(line.target):
            whole = line.received
        for part in range(16):
            line.cut_after(max(1, whole * part // 16))
            with pytest.raises((HostUnreachable, ConnectionLost)) as caught, connect(line.target):
                pass
            assert line.cuts == part + 1
            assert caught.value.remedy
            assert "handshake: ." not in str(caught.value)
        with pytest.raises(LoginRefused), connect(replace(line.target, user="guest")):
            pass


def test_a_login_that_is_cut_while_the_host_looks_at_the_key_names_the_key_and_both_reasons(own_key: Path) -> None:
    host_key = paramiko.ECDSAKey.generate()
    lines: list[Line] = []
    with (
        ssh_server(host_key, asked=lambda: lines[0].cut_after(0)) as port,
        line_to(target_of(port, host_key, own_key)) as line,
    ):
        lines.append(line)
        with pytest.raises(ConnectionLost) as caught, connect(line.target):
            pass
    assert "ended during the login; tried: key ecdsa-sha2-nistp256" in caught.value.message
    assert caught.value.remedy.startswith("run this again; if it stays so, name the one right key")
