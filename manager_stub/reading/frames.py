"""What the manager and a page process speak: byte strings with their length ahead, over a pair of sockets."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

_LENGTH = struct.Struct("!I")


def framed(content: bytes) -> bytes:
    """Return what is sent for a byte string."""
    return _LENGTH.pack(len(content)) + content


class Frames:
    """Takes bytes as they come, and gives the byte strings that are whole."""

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what became whole with this."""
        self._received += data
        while len(self._received) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._received)[0]
            if len(self._received) < end:
                return
            yield bytes(self._received[_LENGTH.size : end])
            del self._received[:end]


def received(connection: socket.socket) -> Iterator[bytes]:
    """Yield what the other side sends, until it closes."""
    frames = Frames()
    while data := connection.recv(65536):
        yield from frames.feed(data)
