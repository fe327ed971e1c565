"""One SSH connection: log in (through jump hosts), run commands, send files. Foreign errors are translated here.

Commands hold no secrets: what is secret goes through standard input.
"""

from __future__ import annotations

import contextlib
import shlex
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Callable, Optional

import paramiko

from outrider.installer.errors import (
    CommandTimedOut,
    ConnectionLost,
    HostUnreachable,
    InstallerError,
    LoginRefused,
)
from outrider.installer.ssh.hostkeys import check_host_key, entry_name, preferred_key_types
from outrider.installer.ssh.keys import private_keys
from outrider.installer.ssh.target import SshTarget

CHUNK = 1 << 17
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class CommandAnswer:
    """What a command gave."""

    code: int
    stdout: str
    stderr: str


class Connection:
    """A logged-in connection; made by `connect`."""

    def __init__(self, target: SshTarget, transport: paramiko.Transport) -> None:
        self.target = target
        self._transport = transport
        self.bytes_sent = 0

    def run(self, command: str, *, stdin: str = "", timeout_seconds: Optional[float] = None) -> CommandAnswer:
        """Run a shell command; raises CommandTimedOut or ConnectionLost."""
        with self.open(command, timeout_seconds=timeout_seconds) as running:
            running.send(stdin.encode())
            running.end_input()
            return running.finish()

    @contextlib.contextmanager
    def open(self, command: str, *, timeout_seconds: Optional[float] = None) -> Iterator[Running]:
        """Start a command to talk with; it is ended with the block."""
        limit = timeout_seconds or self.target.limits.command
        with self._translated():
            channel = self._transport.open_session(timeout=min(limit, self.target.limits.login))
            try:
                channel.settimeout(POLL_SECONDS)
                channel.exec_command(command)
                yield Running(self, channel, command, limit)
            finally:
                channel.close()

    def send_file(
        self, data: bytes, path: str, *, name: str = "", progress: Optional[Callable[[int, int], None]] = None
    ) -> int:
        """Send a file, going on where an earlier try ended; returns the bytes that were sent now.

        `path` is quoted for the shell by the caller's care (``shlex.quote``); the content is verified by the caller.
        """
        have = self.run(f"wc -c < {path} 2>/dev/null || echo 0").stdout.strip()
        done = int(have) if have.isdigit() else 0
        if done > len(data):
            done = 0
        if done == len(data) and done:
            return 0
        redirect = ">>" if done else ">"
        limit = max(self.target.limits.command, len(data) / 50_000)
        with self.open(f"cat {redirect} {path}", timeout_seconds=limit) as running:
            start = done
            while done < len(data):
                done += running.send(data[done : done + CHUNK])
                if progress:
                    progress(done, len(data))
            running.end_input()
            answer = running.finish()
        if answer.code != 0:
            raise InstallerError(
                f"cannot write {name or path} on {self.target.host}: {answer.stderr.strip()}",
                remedy="free some space on the host, or see who may write there",
                cause="the host's disk",
            )
        return len(data) - start

    def forward(self, host: str, port: int) -> paramiko.Channel:
        """Open a way from this host to another one."""
        with self._translated():
            return self._transport.open_channel(
                "direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=self.target.limits.connect
            )

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


class Running:
    """A command that runs on the host. Every wait in it ends at the command's limit, or when the line is dead."""

    def __init__(self, connection: Connection, channel: paramiko.Channel, command: str, limit_seconds: float) -> None:
        self._connection = connection
        self._channel = channel
        self._command = command
        self._limit = limit_seconds
        self._deadline = time.monotonic() + limit_seconds
        self._stdout = bytearray()
        self._stderr = bytearray()

    def send(self, data: bytes) -> int:
        """Write all of it to the command's standard input; returns its length."""
        rest = memoryview(data)
        while rest:
            try:
                sent = self._channel.send(bytes(rest))
            except TimeoutError:
                self._drain()
                self._check()
                continue
            if sent == 0:
                break  # the command does not read any more: its answer will say why
            self._connection.bytes_sent += sent
            rest = rest[sent:]
        return len(data)

    def end_input(self) -> None:
        """Tell the command that there is no more."""
        with contextlib.suppress(OSError):
            self._channel.shutdown_write()

    def wait_for_stderr(self, *markers: str) -> str:
        """Wait until one of the markers stands in the error output, and return it; "" if the command ended before."""
        while True:
            ended = self._channel.exit_status_ready()
            self._drain()
            text = self._stderr.decode(errors="replace")
            for marker in markers:
                if marker in text:
                    # What came before is done with: the next wait looks for new ones.
                    del self._stderr[: len(text[: text.index(marker) + len(marker)].encode())]
                    return marker
            if ended:
                return ""
            self._check()

    def finish(self) -> CommandAnswer:
        """Wait for the command's end and return all that it said."""
        while not self._channel.exit_status_ready():
            self._drain()
            self._check()
        # Output that was under way is there before the channel's end.
        while not self._channel.eof_received and time.monotonic() < self._deadline:
            self._drain()
            if self._channel.closed:
                break
        self._drain()
        code = self._channel.recv_exit_status()
        if code < 0:
            raise ConnectionLost(f"the connection to {self._connection.target} broke while {self._name()} ran")
        return CommandAnswer(code, self._stdout.decode(errors="replace"), self._stderr.decode(errors="replace"))

    def _drain(self) -> None:
        """Take what the command wrote, waiting a moment for it."""
        with contextlib.suppress(TimeoutError):
            if chunk := self._channel.recv(CHUNK):
                self._stdout += chunk
            elif not self._channel.exit_status_ready():
                time.sleep(POLL_SECONDS)  # its output ended, itself did not: do not spin
        while self._channel.recv_stderr_ready():
            self._stderr += self._channel.recv_stderr(CHUNK)

    def _check(self) -> None:
        target = self._connection.target
        if self._channel.closed and not self._channel.exit_status_ready():
            raise ConnectionLost(f"the connection to {target} broke while {self._name()} ran")
        if time.monotonic() >= self._deadline:
            said = self._stderr.decode(errors="replace").strip()[-300:]
            raise CommandTimedOut(
                f"{self._name()} on {target} did not end within {self._limit:g} s; it said: {said or 'nothing'}",
                remedy="see whether the host is overloaded or its network is cut, then run this again",
            )

    def _name(self) -> str:
        words = self._command if len(self._command) < 80 else f"{self._command[:77]}…"
        return f"`{words}`"


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
    except InstallerError:
        transport.close()
        raise
    except (paramiko.SSHException, EOFError, OSError) as error:
        transport.close()
        raise HostUnreachable(
            f"{target.host}:{target.port} does not complete the SSH handshake: {error}",
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
    tried = []
    for key in private_keys(target):
        tried.append(f"key {key.get_name()}")
        with contextlib.suppress(paramiko.AuthenticationException):
            transport.auth_publickey(target.user, key)
        if transport.is_authenticated():
            return
    if target.password is not None:
        tried.append("password")
        with contextlib.suppress(paramiko.AuthenticationException):
            transport.auth_password(target.user, target.password)
    if not transport.is_authenticated():
        raise LoginRefused(
            f"{target.host} does not let {target.user} in; tried: {', '.join(tried) or 'nothing'}",
            remedy="check the user name, the key or the password, and the host's authorized_keys",
        )


def quote_home(path: str) -> str:
    """Return a path for the shell in which a leading ``~/`` stays the user's home."""
    return f'"$HOME"/{shlex.quote(path[2:])}' if path.startswith("~/") else shlex.quote(path)
