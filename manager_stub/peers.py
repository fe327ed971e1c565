"""Who is at the other end of a request's connection, for refusals that count and for the audit log."""

from __future__ import annotations

import ipaddress

#: Proxies on this machine are believed whom they forward for; the last is the first, as a socket for both kinds has it.
TRUSTED_PROXIES = ("127.0.0.1", "::1", "::ffff:127.0.0.1")


def address_of(client: tuple[str, int] | None) -> str:
    """Return a client's address; an IPv4 one that came to an IPv6 socket is told as what it is."""
    if client is None:
        return "unknown"
    try:
        mapped = getattr(ipaddress.ip_address(client[0]), "ipv4_mapped", None)
    except ValueError:
        return client[0]
    return client[0] if mapped is None else str(mapped)
