"""One SSH connection: log in (through jump hosts), run commands, send files. Foreign errors are translated here.

Commands hold no secrets: what is secret goes through standard input.
"""

from __future__ import annotations

import contextlib
import shlex
import socket
from collections.abc import Iterator
from typing import Any, Callable, Optional

import paramiko

from outrider.plugins.ssh.access.errors import (
    ConnectionLost,
    ForwardingRefused,
    HostUnreachable,
    LoginRefused,
    SshError,
    TransferFailed,
)
from outrider.plugins.ssh.access.hostkeys import check_host_key, entry_name, fingerprint, preferred_key_types
from outrider.plugins.ssh.access.keys import private_keys
from outrider.plugins.ssh.access.running import CHUNK, POLL_SECONDS, CommandAnswer, Running
from outrider.plugins.ssh.access.target import SshTarget

#: A transfer may take as long as its size needs at this pace, and never less than a command may.
SLOWEST_BYTES_PER_SECOND = 50_000


class Connection:
    """A logged-in connection; made by `connect`."""

    def __init__(self, target: SshTarget, transport: paramiko.Transport) -> None:
        self.target = target
        self._transport = transport
        self.bytes_sent = 0

    @property
    def host_key(self) -> str:
        """The fingerprint of the key that the host showed, and that was found right."""
        return fingerprint(self._transport.get_remote_server_key())

    def run(self, command: str, *, stdin: str = "", timeout_seconds: Optional[float] = None) -> CommandAnswer:
        """Run a shell command; raises CommandTimedOut or ConnectionLost."""
        with self.open(command, timeout_seconds=timeout_seconds) as running:
            running.send(stdin.encode())
            running.end_input()
            return running.finish()

    @contextlib.contextmanager
    def open(self, command: str, *, name: str = "", timeout_seconds: Optional[float] = None) -> Iterator[Running]:
        """Start a command to talk with; it is ended with the block. Errors call it by its `name`."""
        limit = timeout_seconds or self.target.limits.command
        with self._translated():
            # The limit is the command's, not that of a busy host which takes its time to begin it.
            channel = self._transport.open_session(timeout=self.target.limits.login)
            running = Running(self.target, channel, name=name or command, limit_seconds=limit)
            try:
                channel.settimeout(POLL_SECONDS)
                channel.exec_command(command)
                yield running
            finally:
                self.bytes_sent += running.bytes_sent
                channel.close()

    @contextlib.contextmanager
    def piped(self, command: str) -> Iterator[paramiko.Channel]:
        """Start a command whose input and output are one stream; it is ended with the block."""
        with self._translated():
            channel = self._transport.open_session(timeout=self.target.limits.login)
            try:
                channel.exec_command(command)
                yield channel
            finally:
                channel.close()

    def send_file(
        self, data: bytes, path: str, *, name: str = "", progress: Optional[Callable[[int, int], None]] = None
    ) -> int:
        """Send a file, going on where an earlier try ended; returns the bytes that were sent now.

        `path` is quoted for the shell by the caller's care (``shlex.quote``); the content is verified by the caller.
        Raises TransferFailed if the host does not take it.
        """
        have = self.run(f"wc -c < {path} 2>/dev/null || echo 0").stdout.strip()
        done = int(have) if have.isdigit() else 0
        if done > len(data):
            done = 0
        if done == len(data) and done:
            return 0
        redirect = ">>" if done else ">"
        limit = max(self.target.limits.command, len(data) / SLOWEST_BYTES_PER_SECOND)
        with self.open(f"cat {redirect} {path}", timeout_seconds=limit) as running:
            start = done
            while done < len(data):
                done += running.send(data[done : done + CHUNK])
                if progress:
                    progress(done, len(data))
            running.end_input()
            answer = running.finish()
        if answer.code != 0:
            raise TransferFailed(
                f"cannot write {name or path} on {self.target.host}: {answer.stderr.strip()}",
                remedy="free some space on the host, or see who may write there",
            )
        return len(data) - start

    def forward(self, host: str, port: int) -> paramiko.Channel:
        """Open a way from this host to another one."""
        with self._translated():
            return self._transport.open_channel(
                "direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=self.target.limits.connect
            )

    def accept_forwarded(self, port: int, arrived: Callable[[paramiko.Channel], None]) -> int:
        """Have the host listen on its loopback; `arrived` gets each connection. Returns the port (0 lets it choose)."""
        try:
            return self._transport.request_port_forward(
                "127.0.0.1", port, lambda channel, _origin, _server: arrived(channel)
            )
        except paramiko.SSHException as error:
            raise ForwardingRefused(f"{self.target.host} does not forward a port of its own: {error}") from error

    def stop_forwarded(self, port: int) -> None:
        """Have the host listen no more."""
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):  # a broken line listens no more either
            self._transport.cancel_port_forward("127.0.0.1", port)

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (paramiko.SSHException, EOFError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise ConnectionLost(f"the connection to {self.target} broke: {reason}") from error


@contextlib.contextmanager
def connect(target: SshTarget) -> Iterator[Connection]:
    """Log in to a host, through its jump hosts, and yield the connection."""
    with contextlib.ExitStack() as stack:
        way: Any = None
        for hop in (*target.jumps, target):
            sock = _socket(hop) if way is None else way.forward(hop.host, hop.port)
            transport = _log_in(hop, sock)
            stack.callback(transport.close)
            way = Connection(hop, transport)
        yield way


def _socket(target: SshTarget) -> socket.socket:
    try:
        return socket.create_connection((target.host, target.port), timeout=target.limits.connect)
    except OSError as error:
        reason = error.strerror or str(error)
        raise HostUnreachable(
            f"no SSH server answers at {target.host}:{target.port}: {reason}",
            remedy="check the address, the firewall, and that sshd runs",
        ) from error


def _log_in(target: SshTarget, sock: Any) -> paramiko.Transport:
    transport = paramiko.Transport(sock)
    transport.banner_timeout = target.limits.connect
    transport.auth_timeout = target.limits.login
    transport.daemon = True
    try:
        _prefer_known_types(transport, target)
        transport.start_client(timeout=target.limits.connect)
        check_host_key(target.host_keys, host=target.host, port=target.port, key=transport.get_remote_server_key())
        _authenticate(transport, target)
        transport.set_keepalive(int(target.limits.keepalive))
    except SshError:
        transport.close()
        raise
    except (paramiko.SSHException, EOFError, OSError) as error:
        transport.close()
        reason = str(error) or "it ended the connection"
        raise HostUnreachable(
            f"{target.host}:{target.port} does not complete the SSH handshake: {reason}",
            remedy="see whether an SSH server runs there, and whether it limits connections",
        ) from error
    return transport


def _prefer_known_types(transport: paramiko.Transport, target: SshTarget) -> None:
    known = preferred_key_types(target.host_keys, entry_name(target.host, target.port))
    options = transport.get_security_options()
    # An RSA key is offered under its newer signature names.
    names = [name for kind in known for name in ((kind,) if kind != "ssh-rsa" else ("rsa-sha2-512", "rsa-sha2-256"))]
    first = [name for name in names if name in options.key_types]
    options.key_types = tuple(dict.fromkeys([*first, *options.key_types]))


def _authenticate(transport: paramiko.Transport, target: SshTarget) -> None:
    tried: list[str] = []
    for key in private_keys(target):
        tried.append(f"key {key.get_name()}")
        with _refusal_of_one_way(transport, target, tried):
            transport.auth_publickey(target.user, key)
        if transport.is_authenticated():
            return
    if target.password is not None:
        tried.append("password")
        with _refusal_of_one_way(transport, target, tried):
            transport.auth_password(target.user, target.password)
    if not transport.is_authenticated():
        raise LoginRefused(
            f"{target.host} does not let {target.user} in; tried: {', '.join(tried) or 'nothing'}",
            remedy="check the user name, the key or the password, and the host's authorized_keys",
        )


@contextlib.contextmanager
def _refusal_of_one_way(transport: paramiko.Transport, target: SshTarget, tried: list[str]) -> Iterator[None]:
    """Let a way to log in be refused; a line that broke meanwhile is no refusal, though paramiko calls it one."""
    try:
        yield
    except paramiko.AuthenticationException as error:
        if not transport.is_active():
            raise ConnectionLost(
                f"the connection to {target} ended during the login; tried: {', '.join(tried)}",
                remedy="run this again; if it stays so, name the one right key: a host ends logins with many tries",
            ) from error


def quote_home(path: str) -> str:
    """Return a path for the shell in which a leading ``~/`` stays the user's home."""
    return f'"$HOME"/{shlex.quote(path[2:])}' if path.startswith("~/") else shlex.quote(path)
