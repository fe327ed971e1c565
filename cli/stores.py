"""Opens what the settings name, or ends the command with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outrider.cli.exit_codes import ExitCode
from outrider.cli.home import find_home
from outrider.cli.output import fail
from outrider.cli.settings import command_settings
from outrider.dispatcher.errors import DispatcherError
from outrider.dispatcher.store.database import Database

# Loaded where it is opened: commands that look into the store need neither files nor what decrypts.
if TYPE_CHECKING:
    from outrider.dispatcher.files.content import ContentStore
    from outrider.dispatcher.secrets import SecretStore


def open_database() -> Database:
    """Open the store."""
    settings = command_settings()
    settings.home.make()
    try:
        return Database(settings.database_url)
    except DispatcherError as error:
        fail(str(error), ExitCode.UNAVAILABLE)


def open_files() -> ContentStore:
    """Open the folder of wagons and resources."""
    from outrider.dispatcher.files.content import ContentStore

    try:
        return ContentStore(find_home().make().files)
    except OSError as error:
        fail(f"{find_home().files} cannot be used: {error}", ExitCode.UNAVAILABLE)


def open_secrets(database: Database) -> SecretStore:
    """Open the encrypted secrets; their key is made at first use."""
    from outrider.dispatcher.secrets import DatabaseTable, KeyRing, SecretStore

    return SecretStore(DatabaseTable(database), KeyRing(find_home().make().secret_key))
