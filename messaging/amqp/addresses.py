"""Addresses of brokers, with and without what must not be shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from outrider.messaging.errors import InvalidSettings

_PORTS = {"amqp": 5672, "amqps": 5671, "http": 15672, "https": 15671}


@dataclass(frozen=True)
class Address:
    """One URL of a broker, or of its management API, taken apart. Its text form has no password."""

    scheme: str
    host: str
    port: int
    username: str
    password: str = field(repr=False)
    #: The part after the host: for AMQP the virtual host.
    path: str = ""

    @property
    def secure(self) -> bool:
        """Whether it means TLS."""
        return self.scheme.endswith("s")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{self.username}@{host}:{self.port}{self.path}"


def parse_amqp_url(url: str) -> Address:
    """Return the address in ``amqp[s]://[user[:password]@]host[:port][/vhost]``; raises `InvalidSettings`."""
    return _parse(url, ("amqp", "amqps"))


def parse_management_url(url: str) -> Address:
    """Return the address in ``http[s]://[user[:password]@]host[:port]``; raises `InvalidSettings`."""
    return _parse(url, ("http", "https"))


def _parse(url: str, schemes: tuple[str, ...]) -> Address:
    expected = f"{schemes[0]}[s]://user:password@host:port/…"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # The error's own text may quote the password.
        raise InvalidSettings(f"a broker address cannot be read; expected {expected}") from None
    if parts.scheme not in schemes or not parts.hostname:
        raise InvalidSettings(f"broker address {_without_password(url)!r} cannot be used; expected {expected}")
    return Address(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        username=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        path=parts.path,
    )


def _without_password(url: str) -> str:
    """Return what follows the account, wherever a mistake in the address has put that."""
    return url.rpartition("@")[2]
