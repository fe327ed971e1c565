"""The settings of the manager: where it listens, and what it allows."""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path

from outrider.dispatcher.addresses import in_url

#: To listen on all addresses of a machine.
WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not listened on
#: Requests of more would be held up by the one process that reads and authenticates them.
MOST_PAGE_PROCESSES = 4


@dataclass(frozen=True, kw_only=True)
class ManagerSettings:
    """Where the manager listens, and what it allows."""

    host: str = "127.0.0.1"
    port: int = 8099
    #: Name or address by which clients and agents reach it, where `host` is not that.
    advertise: str | None = None
    certificate: Path | None = None
    certificate_key: Path | None = None
    #: PEM of the authority that signed the certificate; handed to agents.
    authority: Path | None = None
    #: Plain HTTP although others than this machine can reach it.
    allow_plain_http: bool = False
    #: Folder for uploads on their way; on the same disk as the files' folder.
    work: Path = field(default_factory=lambda: Path("/tmp"))  # noqa: S108 - always given by `outrider up`
    largest_plugin_bytes: int = 4 * 2**30
    largest_blueprint_bytes: int = 256 * 2**20
    largest_body_bytes: int = 16 * 2**20
    #: Whether blueprints may import files by http and https. With it, everybody who may upload a blueprint can have the
    #: manager ask any address that it reaches, those of its own machine and network included. The ecosystem's own
    #: types come without: their addresses are answered from what Outrider brings.
    imports_over_network: bool = False
    #: Processes that make pages when many lists are asked for at once; 0: this process makes all of them.
    page_processes: int = 0
    #: Wrong passwords in a row before an account is locked, and for how long.
    wrong_passwords: int = 10
    lock_seconds: float = 300.0
    #: Refused logins that one address has free a minute.
    refusals_per_minute: int = 60

    @property
    def scheme(self) -> str:
        """``https`` where there is a certificate."""
        return "https" if self.certificate else "http"

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"{self.scheme}://{in_url(self.name)}:{self.port}"

    @property
    def name(self) -> str:
        """The name or address that clients and agents are told."""
        # All of a machine's addresses are none that anybody could connect to.
        return self.advertise or (socket.gethostname() if self.host in WILDCARDS else self.host)

    def problems(self) -> list[str]:
        """Return what must not be served like this; nothing when all is well."""
        if not self.certificate and not _loopback(self.host) and not self.allow_plain_http:
            danger = f"{self.host} can be reached by other machines, and passwords would cross the network unencrypted"
            return [f"{danger}: make a certificate (outrider ca issue NAME), or ask for plain HTTP (--plain-http)"]
        return []


def usual_page_processes() -> int:
    """Return how many processes are worth having on this machine: none where there is no second core for them."""
    cores = len(os.sched_getaffinity(0))
    return min(cores, MOST_PAGE_PROCESSES) if cores > 1 else 0


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
