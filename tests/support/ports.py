"""Ports for servers that tests start."""

from __future__ import annotations

import random
import socket

#: Below the ports that the kernel gives to outgoing connections (32768 and up). One of those may be taken between
#: choosing and listening; and while a server is restarted, a client that keeps connecting to its old port may be given
#: that very port as its own, connect to itself, and keep the server from ever coming back.
_FIRST, _LAST = 15000, 31999
_random = random.SystemRandom()


def free_port() -> int:
    """Return a loopback port on which nobody listens, and that no outgoing connection will take."""
    for _ in range(1000):
        port = _random.randint(_FIRST, _LAST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port between {_FIRST} and {_LAST}")


def free_ports(count: int) -> list[int]:
    """Return so many different ones."""
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port())
    return sorted(found)
