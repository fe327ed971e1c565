"""What an installation of agents needs to know of its surroundings, as one value that travels like a secret.

Made by whoever composes a dispatcher (`outrider.cli.host_agents`), redeemed by the built-in plugin `agent` just before
one of its operations starts. It holds the administrator's account at the broker: it is never stored, logged or shown.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from outrider.installer.configuration import AgentSpec, BrokerAccess, Value
from outrider.messaging.amqp import AmqpSettings, TlsOptions
from outrider.messaging.amqp.management import ManagementClient
from outrider.messaging.connect import open_transport
from outrider.messaging.transport import Transport

CONNECT_SECONDS = 15.0
HEARTBEAT_SECONDS = 5.0


@dataclass(frozen=True)
class InstallerAccess:
    """Broker, bundle, and what all agents are to have in common."""

    #: With the dispatcher's account.
    broker_urls: tuple[str, ...] = field(repr=False)
    #: With an administrator's account.
    management_url: str = field(repr=False)
    #: The addresses that hosts use, if they differ.
    hosts_broker_urls: tuple[str, ...] = ()
    broker_ca_pem: str | None = field(default=None, repr=False)
    broker_certificate_file: str | None = None
    broker_key_file: str | None = None
    #: The bundle of the agent; made at first use if it is not there.
    bundle: str = ""
    #: Take the SSH key of a host that was never seen.
    accept_new_host_keys: bool = False
    #: The dispatcher's: agents and dispatchers must agree on it.
    lease_seconds: float = 180.0
    #: Where the agent that an operation is about fetches files, as in messages; None: the dispatcher serves none.
    files: Mapping[str, Any] | None = field(default=None, repr=False)
    #: With it, the dispatcher is asked there for what that agent needs of the bundle.
    files_token: str = field(default="", repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> InstallerAccess:
        """Return what `to_json` made; fields of a newer release are left out."""
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        for name in ("broker_urls", "hosts_broker_urls"):
            known[name] = tuple(known.get(name) or ())
        return cls(**known)

    @property
    def vhost(self) -> str:
        """The virtual host at the broker."""
        return AmqpSettings(urls=self.broker_urls).vhost

    @property
    def management(self) -> ManagementClient:
        """The broker's management API."""
        return ManagementClient(self.management_url)

    @contextlib.contextmanager
    def transport(self, work_dir: Path) -> Iterator[Transport]:
        """Connect to the broker for the time of the block. Raises `TransportError`."""
        ca_file = None
        if self.broker_ca_pem is not None:
            ca_file = work_dir / "broker-ca.pem"
            ca_file.write_text(self.broker_ca_pem, encoding="utf-8")
        tls = TlsOptions(
            ca_file=None if ca_file is None else str(ca_file),
            certificate_file=self.broker_certificate_file,
            key_file=self.broker_key_file,
        )
        settings = AmqpSettings(
            urls=self.broker_urls, tls=tls, name="outrider installer", management_url=self.management_url
        )
        transport = open_transport(settings, connect_within_seconds=CONNECT_SECONDS)
        try:
            yield transport
        finally:
            transport.close()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where agents on hosts find the broker; accounts in these addresses are not for them."""
        return tuple(_without_account(url) for url in self.hosts_broker_urls or self.broker_urls)

    def spec(
        self, agent_id: str, urls: tuple[str, ...], settings: Mapping[str, Value], *, service: str | None = None
    ) -> AgentSpec:
        """Return the agent that shall be on a host; in the end, `urls` hold its own account."""
        # A heartbeat has to come several times in a lease, whatever was asked for.
        wanted = float(settings.get("heartbeat_seconds", HEARTBEAT_SECONDS))  # type: ignore[arg-type]
        common: dict[str, Value] = {
            **settings,
            "lease_seconds": self.lease_seconds,
            "heartbeat_seconds": min(wanted, self.lease_seconds / 4),
        }
        broker = BrokerAccess(urls, ca_pem=self.broker_ca_pem)
        return AgentSpec(agent_id, broker, common, service=service)


def _without_account(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
