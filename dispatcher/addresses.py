"""Addresses to listen on, and how URLs write them; the files' endpoint and the manager use both.

An IPv6 address is a host like any other until it stands in a URL or an option beside a port, where it is in brackets.
"""

from __future__ import annotations

import socket


def in_url(host: str) -> str:
    """Return a host as it stands before a port."""
    return f"[{host}]" if ":" in host else host


def listen_on(host: str, port: int, *, backlog: int) -> socket.socket:
    """Return a socket that listens; on ``::``, for IPv4 too where the system can. Raises OSError."""
    if ":" not in host:
        return socket.create_server((host, port), backlog=backlog)
    both = host == "::" and socket.has_dualstack_ipv6()
    return socket.create_server((host, port), family=socket.AF_INET6, backlog=backlog, dualstack_ipv6=both)
