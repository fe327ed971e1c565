"""Reads the addresses that `outrider up` is given: ADDRESS:PORT to listen on, and the name that others know it by."""

from __future__ import annotations

import ipaddress
import re

#: A host's name or an IPv4 address.
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


def host_and_port(text: str) -> tuple[str, int] | None:
    """Return what ``ADDRESS:PORT`` names, an IPv6 address without its brackets; None if it is not of that form."""
    written, _, digits = text.rpartition(":")
    if not (digits.isascii() and digits.isdigit()) or int(digits) > 65535:
        return None
    if written.startswith("[") and written.endswith("]"):
        host = ipv6(written[1:-1])
        return None if host is None else (host, int(digits))
    # Without brackets nobody could tell where an IPv6 address ends and the port begins.
    return None if not written or ":" in written else (written, int(digits))


def host_alone(text: str) -> str | None:
    """Return a host's name or address that stands without scheme and port, None for anything else."""
    if _NAME.fullmatch(text):
        return text
    return ipv6(text[1:-1] if text.startswith("[") and text.endswith("]") else text)


def ipv6(text: str) -> str | None:
    """Return an IPv6 address as it is usually written; None for anything else, and for one with a zone (``%eth0``).

    A zone means something on one machine only: no other could be told such an address.
    """
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    return None if address.scope_id else str(address)
