"""Brings a database to this version's schema when it is opened; `migrations/versions` holds the steps."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from outrider.dispatcher.errors import SchemaTooNew

FOLDER = Path(__file__).parent / "migrations"
#: Any number that other programs in the same PostgreSQL database do not use.
ADVISORY_LOCK = 7_466_912_301


def configuration(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration without a file."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def head() -> str:
    """Return the newest revision that this code knows."""
    revision = ScriptDirectory.from_config(configuration()).get_current_head()
    if revision is None:
        raise LookupError(f"no migrations in {FOLDER}")
    return revision


def upgrade(connection: Connection, *, sqlite: bool) -> None:
    """Migrate within the caller's transaction. A database that is newer is used as it is, if it allows that.

    Raises `SchemaTooNew`.
    """
    if not sqlite:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    ours = head()
    current = MigrationContext.configure(connection).get_current_revision()
    if current == ours:
        return
    if current is not None and int(current) > int(ours):
        _check_floor(connection, current=current, ours=ours)
        return
    command.upgrade(configuration(connection), "head")


def _check_floor(connection: Connection, *, current: str, ours: str) -> None:
    floor = connection.execute(sa.text("SELECT floor FROM schema_floor")).scalar_one()
    if int(ours) < floor:
        raise SchemaTooNew(
            f"the database has schema {current} and accepts programs from schema {floor:04d} on; "
            f"this one knows {ours}: upgrade Outrider on this machine, or restore a backup"
        )
