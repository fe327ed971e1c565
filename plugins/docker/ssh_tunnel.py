"""A Unix socket here that leads to the Docker socket of a host, through SSH.

The host needs `sshd`, the `docker` command (its ``system dial-stdio`` is how Docker's own client does this) and a user
who may open its socket. Host keys are checked against known hosts or a pinned fingerprint.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from outrider.plugins.sdk import NonRecoverableError, RecoverableError
from outrider.plugins.ssh.access import Connection, HostKeys, Limits, SshTarget, connect, parse_target
from outrider.plugins.ssh.access.errors import CommandTimedOut, ConnectionLost, HostUnreachable, SshError
from outrider.plugins.ssh.access.forwarding import copy_both_ways

#: Connects its standard input and output to the engine.
DIAL = "exec docker system dial-stdio"
#: How long the end of the tunnel waits for its threads.
CLOSE_SECONDS = 5.0


class SshTunnel:
    """The open tunnel; `socket_path` is this end of it. Made by `open_tunnel`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._folder = Path(tempfile.mkdtemp(prefix="docker-ssh-"))
        self.socket_path = self._folder / "docker.sock"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.socket_path))
        self._listener.listen(8)
        self._threads = [threading.Thread(target=self._accept, name="docker-ssh-accept", daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """End all connections, remove the socket."""
        # A thread in accept() is woken by shutdown, not by close.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._connection.close()
        for thread in self._threads:
            thread.join(CLOSE_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _accept(self) -> None:
        while True:
            try:
                local, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._carry, args=(local,), name="docker-ssh-carry", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _carry(self, local: socket.socket) -> None:
        # Whatever goes wrong, the caller sees its connection end, and reports the engine as not reachable.
        with local, suppress(SshError, OSError, EOFError), self._connection.piped(DIAL) as remote:
            copy_both_ways(local, remote)


@contextmanager
def open_tunnel(url: str, settings: Mapping[str, Any], *, timeout_seconds: float) -> Iterator[SshTunnel]:
    """Connect to ``ssh://[user@]host[:port]`` for the time of the block."""
    try:
        target = _target(url.partition("://")[2].rstrip("/"), settings, timeout_seconds)
        with connect(target) as connection:
            _require_docker(connection)
            tunnel = SshTunnel(connection)
            try:
                yield tunnel
            finally:
                tunnel.close()
    except (HostUnreachable, ConnectionLost, CommandTimedOut) as error:
        raise RecoverableError(str(error)) from error
    except SshError as error:
        raise NonRecoverableError(f"client_config.ssh: {error}") from error


def _target(where: str, settings: Mapping[str, Any], timeout_seconds: float) -> SshTarget:
    """Return the host and, if `gateway` names one, the way to it."""
    defaults = SshTarget(
        "",
        user=settings.get("user") or "root",
        key_text=settings.get("private_key"),
        passphrase=settings.get("passphrase"),
        password=settings.get("password"),
        limits=Limits(connect=timeout_seconds, login=timeout_seconds),
    )
    target = replace(parse_target(where, defaults), host_keys=HostKeys(fingerprint=settings.get("host_key")))
    gateway = settings.get("gateway")
    if not gateway:
        return target
    described = {"host": gateway} if isinstance(gateway, str) else gateway
    way = _target(
        str(described.get("host")), {**settings, "host_key": None, **described, "gateway": None}, timeout_seconds
    )
    return replace(target, jumps=(way,))


def _require_docker(connection: Connection) -> None:
    """Say what is wrong with the host's engine, which the tunnel itself cannot: it has no words of its own."""
    # Its input is at its end: the command connects to the engine, and ends.
    answer = connection.run(DIAL)
    if answer.code == 0:
        return
    said = answer.stderr.strip()[-300:] or f"exit code {answer.code}"
    text = f"{connection.target} does not lead to a Docker Engine: {said}"
    if "permission denied" in said.lower() or answer.code == 127:
        raise NonRecoverableError(f"{text}; the user needs the docker command, and has to be in the group docker")
    raise RecoverableError(text)
