"""What agent, runner and children say to each other: frames of JSON over unix sockets.

A frame is a length (4 bytes, big endian) and that many bytes of JSON. The agent connects to the runner's socket, a
waiting child accepts and sends `hello`; the agent answers with one task frame, which is the *go*; the child ends with
one `done` frame. A connection that ends before a whole task frame arrived means: nothing was run.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
from pathlib import Path
from typing import Any, Optional, Union

#: Raised with every change that an older agent or runner would not understand.
VERSION = 1
#: Name of the listening socket inside the runner's folder.
SOCKET_NAME = "socket"
#: What a runner says about itself, in its folder, once it listens.
STATE_NAME = "state.json"
CONFIG_NAME = "config.json"
#: Names inside an attempt's folder.
STARTED_NAME = "started"
RESULT_NAME = "result.json"
UPDATES_NAME = "updates.jsonl"
#: In the environment of everything that an operation starts.
MARKER = "OUTRIDER_ATTEMPT"

_LENGTH = struct.Struct(">I")
_LARGEST_FRAME = 512 * 1024 * 1024
#: Most frames are shorter.
_AT_ONCE = 16 * 1024


class ProtocolError(Exception):
    """The other side sent something that is not a frame of this protocol."""


def send_frame(connection: socket.socket, message: dict[str, Any]) -> None:
    """Send one message; raises `OSError` if the other side is gone."""
    send_body(connection, json.dumps(message, separators=(",", ":")).encode())


def send_body(connection: socket.socket, body: bytes) -> None:
    """Send one message that is encoded already."""
    connection.sendall(frame(body))


def frame(body: bytes) -> bytes:
    """Return one message, encoded already, as it goes over a connection."""
    return _LENGTH.pack(len(body)) + body


def receive_frame(connection: socket.socket) -> Optional[dict[str, Any]]:
    """Return the next message, or None if the connection ended before a whole one arrived."""
    received = _receive(connection, b"", _LENGTH.size)
    if received is None:
        return None
    (length,) = _LENGTH.unpack_from(received)
    if length > _LARGEST_FRAME:
        raise ProtocolError(f"a frame of {length} bytes was announced; at most {_LARGEST_FRAME} are accepted")
    received = _receive(connection, received, _LENGTH.size + length)
    if received is None:
        return None
    # Decoded here: `loads` would look for other encodings first. What follows is nobody's: an operation that forked,
    # and returned in both processes, says twice that it is done.
    message = json.loads(str(memoryview(received)[_LENGTH.size : _LENGTH.size + length], "utf-8"))
    if not isinstance(message, dict):
        raise ProtocolError("a frame does not hold a JSON object")
    return message


def _receive(connection: socket.socket, received: bytes, count: int) -> Optional[bytes]:
    """Return `received` and what follows, `count` bytes or more, or None if the connection ended earlier.

    The sides speak in turns, so what is there is one frame's, and one call nearly always takes all of it.
    """
    parts = [received]
    missing = count - len(received)
    while missing > 0:
        try:
            part = connection.recv(max(_AT_ONCE, min(missing, 1 << 20)))
        except ConnectionError:
            return None
        if not part:
            return None
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def listen(directory: Path, *, backlog: int) -> socket.socket:
    """Listen on the runner's socket; through the folder's descriptor, since a socket's path may hold 107 bytes only."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        listener.bind(f"/proc/self/fd/{folder}/{SOCKET_NAME}")
    finally:
        os.close(folder)
    listener.listen(backlog)
    return listener


def has_caller(listener: socket.socket) -> bool:
    """Return whether somebody has connected whom no child has accepted yet."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    return bool(poll.poll(0))


def connect(directory: Path, *, timeout_seconds: float) -> socket.socket:
    """Connect to the runner that lives in `directory`; raises `OSError` if none listens there."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_seconds)
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        connection.connect(f"/proc/self/fd/{folder}/{SOCKET_NAME}")
    except BaseException:
        connection.close()
        raise
    finally:
        os.close(folder)
    return connection


def write_new(path: str, body: bytes, *, durable: bool = False) -> None:
    """Write a file; `durable`: its content outlives a power cut."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(body)
        while view:
            view = view[os.write(descriptor, view) :]
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_aside(path: Union[Path, str], body: bytes, *, durable: bool) -> None:
    """Write a file so that a reader sees either nothing or all of it; `durable`: also after a power cut."""
    aside = f"{path}.{os.getpid()}.tmp"
    write_new(aside, body, durable=durable)
    os.replace(aside, path)  # noqa: PTH105 - on every operation's way, like all here that is not a `Path`
    if durable:
        folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)  # noqa: PTH120 - as above
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
