"""A Unix socket here that leads to the Docker socket of a host, through SSH.

The host needs `sshd`, the `docker` command (its ``system dial-stdio`` is how Docker's own client does this) and a user
who may open its socket. Host keys are checked against known hosts or a pinned fingerprint.
"""

from __future__ import annotations

import base64
import hashlib
import io
import select
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Optional
from urllib.parse import urlsplit

import paramiko

from outrider.plugins.sdk import NonRecoverableError, RecoverableError

#: Connects its standard input and output to the engine.
DIAL = "exec docker system dial-stdio"
_CHUNK = 65_536


class PinnedKey(paramiko.MissingHostKeyPolicy):
    """Accepts the one host key whose SHA-256 fingerprint the blueprint names."""

    def __init__(self, fingerprint: str) -> None:
        self._fingerprint = fingerprint.removeprefix("SHA256:")

    def missing_host_key(self, _client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Compare; raises `NonRecoverableError` if it is another key."""
        seen = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
        if seen != self._fingerprint.rstrip("="):
            raise NonRecoverableError(
                f"the host key of {hostname} is SHA256:{seen}, not SHA256:{self._fingerprint}: if the host was "
                "made anew, correct client_config.ssh.host_key; otherwise somebody is in between"
            )


class SshTunnel:
    """The open tunnel; `socket_path` is this end of it."""

    def __init__(self, client: paramiko.SSHClient, *, timeout_seconds: float) -> None:
        self._client = client
        self._timeout_seconds = timeout_seconds
        self._folder = Path(tempfile.mkdtemp(prefix="docker-ssh-"))
        self.socket_path = self._folder / "docker.sock"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.socket_path))
        self._listener.listen(8)
        self._threads = [threading.Thread(target=self._accept, name="docker-ssh-accept", daemon=True)]
        self._threads[0].start()

    @classmethod
    @contextmanager
    def open(cls, url: str, settings: Mapping[str, Any], *, timeout_seconds: float) -> Iterator[SshTunnel]:
        """Connect to ``ssh://[user@]host[:port]`` for the time of the block."""
        parts = urlsplit(url)
        client = paramiko.SSHClient()
        client.load_system_host_keys()
        pinned: Optional[str] = settings.get("host_key")
        client.set_missing_host_key_policy(PinnedKey(pinned) if pinned else paramiko.RejectPolicy())
        try:
            client.connect(
                parts.hostname or "",
                port=parts.port or 22,
                username=parts.username or settings.get("user"),
                password=settings.get("password"),
                pkey=_private_key(settings),
                timeout=timeout_seconds,
                banner_timeout=timeout_seconds,
                auth_timeout=timeout_seconds,
            )
        except paramiko.AuthenticationException as error:
            raise NonRecoverableError(f"{parts.hostname} does not accept the credentials: {error}") from error
        except paramiko.SSHException as error:
            if "not found in known_hosts" in str(error):
                raise NonRecoverableError(
                    f"the host key of {parts.hostname} is not known: add it to known_hosts, or pin it as "
                    "client_config.ssh.host_key"
                ) from error
            raise RecoverableError(f"no SSH to {parts.hostname}: {error}") from error
        tunnel = cls(client, timeout_seconds=timeout_seconds)
        try:
            yield tunnel
        finally:
            tunnel.close()

    def close(self) -> None:
        """End all connections, remove the socket."""
        # A thread in accept() is woken by shutdown, not by close.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._client.close()
        for thread in self._threads:
            thread.join(timeout=5)
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
        transport = self._client.get_transport()
        with local:
            if transport is None:
                return
            try:
                remote = transport.open_session(timeout=self._timeout_seconds)
                remote.exec_command(DIAL)
            except (paramiko.SSHException, OSError):
                return  # the caller sees its connection end, and reports the engine as not reachable
            with remote:
                _copy_both_ways(local, remote)


def _copy_both_ways(local: socket.socket, remote: paramiko.Channel) -> None:
    while True:
        readable, _, _ = select.select([local.fileno(), remote.fileno()], [], [], 30)
        if local.fileno() in readable:
            data = local.recv(_CHUNK)
            if not data:
                return
            remote.sendall(data)
        if remote.fileno() in readable:
            data = remote.recv(_CHUNK)
            if not data:
                return
            local.sendall(data)


def _private_key(settings: Mapping[str, Any]) -> Optional[paramiko.PKey]:
    text: Optional[str] = settings.get("private_key")
    if not text:
        return None
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        with suppress(paramiko.SSHException):
            return kind.from_private_key(io.StringIO(text), password=settings.get("passphrase"))
    raise NonRecoverableError("client_config.ssh.private_key is not a private key in a known format")
