"""Opens what lies in the command's home folder, or ends the command with the reason."""

from __future__ import annotations

from outrider.cli.exit_codes import ExitCode
from outrider.cli.home import find_home
from outrider.cli.output import fail
from outrider.dispatcher.errors import DispatcherError
from outrider.dispatcher.files.content import ContentStore
from outrider.dispatcher.store.database import Database


def open_database() -> Database:
    """Open the store."""
    try:
        return Database(find_home().make().database_url)
    except DispatcherError as error:
        fail(str(error), ExitCode.UNAVAILABLE)


def open_files() -> ContentStore:
    """Open the folder of wagons and resources."""
    try:
        return ContentStore(find_home().make().files)
    except OSError as error:
        fail(f"{find_home().files} cannot be used: {error}", ExitCode.UNAVAILABLE)
