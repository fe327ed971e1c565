"""Asks for pages over HTTP as fast as they come: many clients, each with a connection of its own, in one thread.

A client costs about 0.1 ms of computing a request, so that what is measured is the server, which shares the machine's
cores with it; what the clients took is told as well.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import cast

import uvloop

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"content-length:"
GIVE_UP_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Load:
    """What came of it."""

    #: From a request's first byte to its answer's last one.
    seconds: list[float]
    errors: int
    #: From the first request to the last answer.
    took_seconds: float
    #: Computing that the clients themselves took.
    own_cpu_seconds: float


def ask(port: int, paths: list[str], *, headers: dict[str, str], requests: int) -> Load:
    """Let one client for each of the paths ask for it, again as soon as it has the answer."""
    return uvloop.run(_ask(port, paths, headers, requests))


async def _ask(port: int, paths: list[str], headers: dict[str, str], requests: int) -> Load:
    loop = asyncio.get_running_loop()
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    clients = [
        _Client(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n".encode(), requests, loop.create_future())
        for path in paths
    ]
    for client in clients:
        await loop.create_connection(client.itself, "127.0.0.1", port)
    began, cpu = time.perf_counter(), time.process_time()
    for client in clients:
        client.ask()
    async with asyncio.timeout(GIVE_UP_SECONDS):
        await asyncio.gather(*(client.done for client in clients))
    return Load(
        seconds=[each for client in clients for each in client.seconds],
        errors=sum(client.errors for client in clients),
        took_seconds=time.perf_counter() - began,
        own_cpu_seconds=time.process_time() - cpu,
    )


class _Client(asyncio.Protocol):
    """One connection, one request after the other; answers have a length."""

    def __init__(self, request: bytes, requests: int, done: asyncio.Future[None]) -> None:
        self._request = request
        self._left = requests
        self._received = bytearray()
        self._wanted: int | None = None
        self._good = False
        self._began = 0.0
        self.done = done
        self.seconds: list[float] = []
        self.errors = 0

    def itself(self) -> _Client:
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def ask(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._wanted is None:
            self._wanted = self._read_head()
        if self._wanted is None or len(self._received) < self._wanted:
            return
        self.seconds.append(time.perf_counter() - self._began)
        self.errors += not self._good
        self._received.clear()
        self._wanted = None
        self._left -= 1
        if self._left:
            self.ask()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.errors += self._left
        self.done.set_result(None)

    def _read_head(self) -> int | None:
        """Return the size of head and body together, once the head is there."""
        end = self._received.find(_END_OF_HEAD)
        if end < 0:
            return None
        head = bytes(self._received[:end]).lower()
        length = int(head.partition(_LENGTH)[2].partition(b"\r\n")[0])
        self._good = head.startswith(b"http/1.1 200 ") and length > 0
        return end + len(_END_OF_HEAD) + length
