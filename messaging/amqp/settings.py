"""What an AMQP transport has to be told. Text forms never show a password."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from functools import cached_property
from typing import Optional
from urllib.parse import unquote

import pika

from outrider.messaging.amqp.addresses import Address, parse_amqp_url, parse_management_url
from outrider.messaging.errors import InvalidSettings


@dataclass(frozen=True)
class TlsOptions:
    """How the broker proves who it is (`ca_file`), and we to it (`certificate_file`, `key_file`); PEM files."""

    #: None = the system's authorities.
    ca_file: Optional[str] = None
    certificate_file: Optional[str] = None
    key_file: Optional[str] = None
    #: Whether the certificate has to carry the name that we connected to.
    verify_server_name: bool = True
    #: The name to expect instead of the URL's host.
    server_name: Optional[str] = None

    def context(self) -> ssl.SSLContext:
        """Return the context for connections; raises `InvalidSettings` that names the file."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.certificate_file is not None:
                context.load_cert_chain(self.certificate_file, self.key_file)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(filter(None, (self.ca_file, self.certificate_file, self.key_file)))
            raise InvalidSettings(f"TLS files {files} cannot be used: {error}") from error
        context.check_hostname = self.verify_server_name
        return context


@dataclass(frozen=True)
class AmqpSettings:
    """Settings of one transport. `urls` are tried in turn: ``amqp[s]://user:password@host[:port][/vhost]``."""

    urls: tuple[str, ...] = field(repr=False)
    tls: TlsOptions = TlsOptions()
    #: A silent peer is given up after this time.
    heartbeat_seconds: int = 15
    #: For one attempt at one address: TCP, TLS and AMQP together.
    connect_timeout_seconds: float = 10.0
    #: How long the broker may refuse to read (out of memory or disk) before the connection is given up.
    blocked_timeout_seconds: float = 30.0
    #: For one declaration, check or deletion, including the wait for the connection to come back.
    request_timeout_seconds: float = 30.0
    #: Between rounds over all addresses; doubled from the first to the last, with jitter.
    reconnect_first_seconds: float = 0.2
    reconnect_last_seconds: float = 15.0
    #: Messages carry the account's name, which the broker verifies.
    user_id: bool = False
    #: Shown in the broker's list of connections.
    name: str = "outrider"
    #: ``http[s]://user:password@host[:port]``; where given, `declare` sets the policies of what may change later.
    management_url: Optional[str] = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.urls:
            raise InvalidSettings("a broker address is needed: amqp://user:password@host:port/vhost")
        vhosts = {self.vhost_of(address) for address in self.addresses}
        if len(vhosts) > 1:
            raise InvalidSettings(f"the broker addresses name different virtual hosts: {', '.join(sorted(vhosts))}")
        if self.management_url is not None:
            parse_management_url(self.management_url)

    def __str__(self) -> str:
        return f"{self.name} at {', '.join(map(str, self.addresses))}"

    @cached_property
    def addresses(self) -> tuple[Address, ...]:
        """The URLs, taken apart."""
        return tuple(parse_amqp_url(url) for url in self.urls)

    @property
    def vhost(self) -> str:
        """The virtual host, the same for all addresses."""
        return self.vhost_of(self.addresses[0])

    @staticmethod
    def vhost_of(address: Address) -> str:
        """Return the virtual host that an address names; none means ``/``."""
        return unquote(address.path[1:]) or "/"

    @cached_property
    def tls_context(self) -> Optional[ssl.SSLContext]:
        """The context for connections; None where no address wants TLS."""
        management = self.management_url is not None and parse_management_url(self.management_url).secure
        return self.tls.context() if management or any(address.secure for address in self.addresses) else None

    def parameters(self, address: Address, *, purpose: str) -> pika.ConnectionParameters:
        """Return pika's parameters for one attempt at one address."""
        tls = None
        if address.secure:
            tls = pika.SSLOptions(self.tls_context, self.tls.server_name or address.host)
        return pika.ConnectionParameters(
            host=address.host,
            port=address.port,
            virtual_host=self.vhost_of(address),
            credentials=pika.PlainCredentials(address.username, address.password),
            heartbeat=self.heartbeat_seconds,
            socket_timeout=self.connect_timeout_seconds,
            stack_timeout=self.connect_timeout_seconds,
            blocked_connection_timeout=self.blocked_timeout_seconds,
            connection_attempts=1,
            ssl_options=tls,
            client_properties={"connection_name": f"{self.name} ({purpose})", "product": "Outrider"},
        )
