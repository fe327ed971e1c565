"""What a dispatcher of this command needs to have agents put on hosts; see `outrider.dispatcher.host_agents`."""

from __future__ import annotations

from typing import Any

from outrider.cli.settings import CommandSettings
from outrider.installer.access import InstallerAccess
from outrider.messaging.version import __version__


class SettingsHostAgents:
    """`HostAgents` by the settings of the command."""

    def __init__(self, settings: CommandSettings, access: InstallerAccess) -> None:
        self._settings = settings
        self._access = access

    def installer_access(self) -> dict[str, Any]:
        """Return what the plugin `agent` reads."""
        return self._access.to_json()

    def init_script(self, agent_id: str) -> str:
        """Return the user data of a host."""
        raise NotImplementedError(agent_id)


def host_agents_of(settings: CommandSettings) -> SettingsHostAgents | None:
    """Return how agents come onto hosts; None without a broker that can be managed."""
    connection = settings.connection
    if settings.embedded or connection.broker_management_url is None:
        return None
    access = InstallerAccess(
        broker_urls=connection.broker_urls,
        management_url=connection.broker_management_url,
        hosts_broker_urls=connection.hosts_broker_urls,
        broker_ca_pem=connection.broker_ca_file.read_text(encoding="utf-8") if connection.broker_ca_file else None,
        broker_certificate_file=str(connection.broker_certificate_file) if connection.broker_certificate_file else None,
        broker_key_file=str(connection.broker_key_file) if connection.broker_key_file else None,
        bundle=str(connection.agent_bundle or settings.home.path / "bundles" / f"outrider-agent-{__version__}.tar"),
        accept_new_host_keys=connection.accept_new_host_keys,
        lease_seconds=settings.engine.lease_seconds,
    )
    return SettingsHostAgents(settings, access)
