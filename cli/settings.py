"""The settings of the command: which broker, which database, and how the engine behaves.

File: ``$OUTRIDER_HOME/outrider.toml``; environment: ``OUTRIDER_<NAME>``; the same names in both.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Any

from outrider.cli.exit_codes import ExitCode
from outrider.cli.home import VARIABLE, Home, find_home
from outrider.cli.output import fail
from outrider.dispatcher.errors import SettingsInvalid
from outrider.dispatcher.settings import EngineSettings
from outrider.messaging.configuration import ConfigurationError, Loaded, load

#: The broker inside the process.
EMBEDDED = "embedded"


@dataclass(frozen=True)
class ConnectionSettings:
    """What a dispatcher works with. Addresses may hold passwords: they are never shown."""

    #: AMQP addresses, tried in turn; none: the broker inside the process, with the agent in the same process.
    broker_urls: tuple[str, ...] = field(default=(), repr=False)
    broker_ca_file: Path | None = None
    broker_certificate_file: Path | None = None
    broker_key_file: Path | None = None
    #: The addresses under which hosts reach the broker, where they differ: ``amqp[s]://host[:port][/vhost]``.
    hosts_broker_urls: tuple[str, ...] = ()
    #: ``http[s]://user:password@host:15672``, to set policies and accounts.
    broker_management_url: str | None = field(default=None, repr=False)
    #: Bundle of the agent, for hosts of blueprints; none: one in the home folder, made at first use.
    agent_bundle: Path | None = None
    #: Take the SSH key of a blueprint's host that was never seen (`accept_new_host_key` of its agent_config wins).
    accept_new_host_keys: bool = False
    #: SQLAlchemy address; none: a SQLite file in the home folder.
    database_url: str | None = field(default=None, repr=False)
    #: Where a dispatcher serves wagons and resources; agents on other machines need an address that they can reach.
    files_host: str = "127.0.0.1"
    #: 0 = any free one. A fixed one keeps tasks good that wait in a queue while their dispatcher is started again.
    files_port: int = 0
    #: The whole address under which agents reach it, such as ``https://files.example/files`` behind a proxy.
    files_url: str | None = None
    log_level: str = "warning"


_ENGINE_FIELDS = [(item.name, item.type, field(default=item.default)) for item in fields(EngineSettings)]
#: All settings of the command in one flat object, as in the file.
AllSettings = make_dataclass(
    "AllSettings",
    [
        *((item.name, item.type, field(default=item.default, repr=item.repr)) for item in fields(ConnectionSettings)),
        *_ENGINE_FIELDS,
    ],
    frozen=True,
)
SECRET_NAMES = frozenset({"broker_urls", "broker_management_url", "database_url"})


@dataclass(frozen=True)
class CommandSettings:
    """Everything that the command goes by."""

    home: Home
    connection: ConnectionSettings
    engine: EngineSettings
    #: Name → where the value came from.
    origins: Mapping[str, str]

    @property
    def database_url(self) -> str:
        """The database that is used."""
        return self.connection.database_url or self.home.database_url

    @property
    def embedded(self) -> bool:
        """Whether broker and agent are in this process."""
        return not self.connection.broker_urls

    def values(self) -> dict[str, Any]:
        """Return all values by name; addresses that may hold a password are masked."""
        found = {item.name: getattr(self.connection, item.name) for item in fields(self.connection)}
        found.update({item.name: getattr(self.engine, item.name) for item in fields(self.engine)})
        return {name: mask(value) if name in SECRET_NAMES else value for name, value in found.items()}


def mask(value: Any) -> Any:
    """Return an address, or several, without the account."""
    if isinstance(value, tuple):
        return tuple(mask(each) for each in value)
    if not isinstance(value, str) or "@" not in value:
        return value
    scheme, separator, rest = value.partition("://")
    return f"{scheme}{separator}…@{rest.rpartition('@')[2]}"


def command_settings(flags: Mapping[str, str | None] | None = None) -> CommandSettings:
    """Load the settings, or end the command with everything that is wrong with them."""
    home = find_home()
    file = home.configuration if home.configuration.exists() else None
    try:
        loaded: Loaded[Any] = load(AllSettings, file=file, environment=os.environ, flags=flags)
        chosen = loaded.settings
        connection = ConnectionSettings(
            **{item.name: getattr(chosen, item.name) for item in fields(ConnectionSettings)}
        )
        engine = EngineSettings(**{item.name: getattr(chosen, item.name) for item in fields(EngineSettings)})
    except ConfigurationError as error:
        fail("these settings are not usable:\n  " + "\n  ".join(error.problems), ExitCode.BAD_INPUT)
    except SettingsInvalid as error:
        fail(f"these settings are not usable: {error}", ExitCode.BAD_INPUT)
    origins = {"home": VARIABLE if VARIABLE in os.environ else "default", **loaded.origins}
    return CommandSettings(home, connection, engine, origins)
