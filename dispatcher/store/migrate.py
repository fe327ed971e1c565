"""Brings a database to this version's schema when it is opened; `migrations/versions` holds the steps.

Alembic is loaded only when there is something to migrate: it takes longer to import than most commands to run.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outrider.dispatcher.errors import SchemaTooNew, StoreUnavailable

FOLDER = Path(__file__).parent / "migrations"
#: Any number that other programs in the same PostgreSQL database do not use.
ADVISORY_LOCK = 7_466_912_301


def head() -> str:
    """Return the newest revision that this code knows: revisions are numbered, and their files named by the number."""
    return max(file.name.partition("_")[0] for file in (FOLDER / "versions").glob("[0-9]*_*.py"))


def current_revision(connection: Connection) -> str | None:
    """Return the database's revision; None if it is empty."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def upgrade(connection: Connection, *, sqlite: bool) -> None:
    """Migrate within the caller's transaction. A database that is newer is used as it is, if it allows that.

    Raises `SchemaTooNew`, and `StoreUnavailable` if another program migrates it.
    """
    if not sqlite:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    ours = head()
    current = current_revision(connection)
    if current == ours:
        return
    if current is not None and not current.isdecimal():
        raise StoreUnavailable(
            f"the database {connection.engine.url} belongs to another program: its schema is {current!r}, which "
            "Outrider never had; give Outrider one of its own (the setting database_url)"
        )
    if current is not None and int(current) > int(ours):
        _check_floor(connection, current=current, ours=ours)
        return
    _migrate(connection)


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _check_floor(connection: Connection, *, current: str, ours: str) -> None:
    floor = connection.execute(sa.text("SELECT floor FROM schema_floor")).scalar_one()
    if int(ours) < floor:
        raise SchemaTooNew(
            f"the database has schema {current} and accepts programs from schema {floor:04d} on; "
            f"this one knows {ours}: upgrade Outrider on this machine, or restore a backup"
        )
