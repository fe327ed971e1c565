"""The agent's configuration file, as TOML; its keys are those of `outrider.agent.settings`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Optional, Union
from urllib.parse import urlsplit

from outrider.installer.broker import AgentAccount

Value = Union[str, int, float, bool, list[str]]
#: The installer writes these itself.
OWN_KEYS = frozenset({"agent_id", "state_dir", "broker_urls", "broker_ca_file"})


@dataclass(frozen=True)
class BrokerAccess:
    """How an agent reaches its broker: the addresses that *hosts* use, in the end with the agent's own account."""

    urls: tuple[str, ...] = field(repr=False)
    #: PEM of the authority that signed the broker's certificate, if it is not a public one.
    ca_pem: Optional[str] = field(default=None, repr=False)

    def addresses(self) -> list[dict[str, Any]]:
        """Return where a probe has to knock: no accounts in it."""
        found = []
        for url in self.urls:
            parts = urlsplit(url)
            tls = parts.scheme == "amqps"
            port = parts.port or (5671 if tls else 5672)
            found.append({"host": parts.hostname, "port": port, "tls": tls, "ca_pem": self.ca_pem})
        return found


@dataclass(frozen=True)
class AgentSpec:
    """The agent that shall be on a host."""

    agent_id: str
    broker: BrokerAccess
    #: Further settings of the agent, by the names of `outrider.agent.settings`.
    settings: Mapping[str, Value] = field(default_factory=dict)
    #: ``systemd`` or ``detached``; None = the best that the host has.
    service: Optional[str] = None

    def with_account(self, account: AgentAccount) -> AgentSpec:
        """Return it with the agent's own account in the broker's addresses."""
        return replace(self, broker=replace(self.broker, urls=tuple(map(account.url, self.broker.urls))))


def render_configuration(spec: AgentSpec, *, state_dir: str, ca_file: str) -> str:
    """Return the file's text."""
    values: dict[str, Value] = {
        "agent_id": spec.agent_id,
        "state_dir": state_dir,
        "broker_urls": list(spec.broker.urls),
    }
    if spec.broker.ca_pem is not None:
        values["broker_ca_file"] = ca_file
    values.update({key: value for key, value in sorted(spec.settings.items()) if key not in OWN_KEYS})
    lines = ["# Written by Outrider's installer. Holds the agent's password for the broker: keep it 0600."]
    # Texts, numbers, booleans and lists of texts are written alike in JSON and TOML.
    lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"
