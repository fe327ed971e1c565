"""A port on the host's loopback that leads to one here, for as long as a block runs."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import paramiko

from outrider.plugins.ssh.access.connection import Connection

#: A connection that is silent for this long is ended.
IDLE_SECONDS = 600.0
#: How long the end of the block waits for connections to end.
CLOSE_SECONDS = 5.0
_CHUNK = 65_536


@contextmanager
def port_on_host(connection: Connection, local_port: int, *, host_port: int = 0) -> Iterator[int]:
    """Yield the host's port (0 lets it choose one); raises ForwardingRefused."""
    carriers = _Carriers(local_port)
    port = connection.accept_forwarded(host_port, carriers.carry)
    try:
        yield port
    finally:
        connection.stop_forwarded(port)
        carriers.close()


class _Carriers:
    """One thread per connection that came from the host."""

    def __init__(self, local_port: int) -> None:
        self._local_port = local_port
        self._open: dict[threading.Thread, paramiko.Channel] = {}

    def carry(self, channel: paramiko.Channel) -> None:
        """Take a new connection; called by the transport's thread, so it must not wait."""
        thread = threading.Thread(target=self._carry, args=(channel,), name="ssh-forward", daemon=True)
        self._open = {**{one: its for one, its in self._open.items() if one.is_alive()}, thread: channel}
        thread.start()

    def close(self) -> None:
        for thread, channel in self._open.items():
            channel.close()
            thread.join(CLOSE_SECONDS)

    def _carry(self, channel: paramiko.Channel) -> None:
        # An end that is closed while the other one writes is how every connection here ends.
        here = ("127.0.0.1", self._local_port)
        with suppress(OSError, EOFError), closing(channel), socket.create_connection(here) as local:
            copy_both_ways(local, channel)


def copy_both_ways(local: socket.socket, remote: paramiko.Channel, *, idle_seconds: float = IDLE_SECONDS) -> None:
    """Carry bytes until one side has ended and all that it said was passed on, or nothing moves for too long."""
    open_sides = {local.fileno(), remote.fileno()}
    while open_sides:
        readable, _, _ = select.select(list(open_sides), [], [], idle_seconds)
        if not readable:
            return
        if local.fileno() in readable:
            if data := local.recv(_CHUNK):
                remote.sendall(data)
            else:
                open_sides.discard(local.fileno())
                remote.shutdown_write()
        if remote.fileno() in readable:
            if data := remote.recv(_CHUNK):
                local.sendall(data)
            else:
                return
