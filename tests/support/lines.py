"""A way to a host that a test can cut anywhere: the host's bytes are counted, and the line breaks after a given one."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

from outrider.installer import SshTarget

CHUNK = 1 << 16


class Line:
    """Passes TCP connections on to a host; made by `line_to`."""

    def __init__(self, target: SshTarget) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        #: Each end of a connection → the other end; `_from_host` holds those that lead to the host.
        self._ends: dict[socket.socket, socket.socket] = {}
        self._from_host: set[socket.socket] = set()
        self._left: int | None = None
        self._closing, self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._pass_on, name="line")
        self._lock = threading.Lock()
        #: What the host sent so far, in bytes.
        self.received = 0
        #: How often the line broke.
        self.cuts = 0
        self._thread.start()

    @property
    def target(self) -> SshTarget:
        """The host, by this line."""
        host, port = self._server.getsockname()
        return replace(self._target, host=host, port=port)

    def cut_after(self, count: int) -> None:
        """Break all connections as soon as the host has sent so many more bytes; at once with 0."""
        with self._lock:
            self._left = count
            if count == 0:
                self._break()

    def close(self) -> None:
        self._wake.send(b"x")
        self._thread.join(30)
        for each in (self._server, self._closing, self._wake, *self._ends):
            each.close()

    def _pass_on(self) -> None:
        while True:
            ready, _, _ = select.select([self._server, self._closing, *self._ends], [], [])
            if self._closing in ready:
                return
            with self._lock:
                for each in ready:
                    if each is self._server:
                        self._accept()
                    elif each in self._ends:
                        self._pass(each)

    def _accept(self) -> None:
        near, _ = self._server.accept()
        far = socket.create_connection((self._target.host, self._target.port), timeout=20)
        self._ends |= {near: far, far: near}
        self._from_host.add(far)

    def _pass(self, end: socket.socket) -> None:
        other = self._ends[end]
        try:
            data = end.recv(CHUNK)
            if end in self._from_host:
                self.received += len(data)
                data = self._count(data)
            other.sendall(data)
        except OSError:
            data = b""
        if self._left == 0:
            self._break()
        elif not data:
            self._drop(end, other)

    def _count(self, data: bytes) -> bytes:
        if self._left is None:
            return data
        data = data[: self._left]
        self._left -= len(data)
        return data

    def _break(self) -> None:
        self._left = None
        self.cuts += 1
        for end in tuple(self._from_host):
            self._drop(end, self._ends[end])

    def _drop(self, *ends: socket.socket) -> None:
        for end in ends:
            del self._ends[end]
            self._from_host.discard(end)
            with contextlib.suppress(OSError):  # the other end went first
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextlib.contextmanager
def line_to(target: SshTarget) -> Iterator[Line]:
    """Yield a way to a host; nothing of it is left after the block."""
    line = Line(target)
    try:
        yield line
    finally:
        line.close()
