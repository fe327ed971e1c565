"""Opens the database and gives connections: the one place that knows the two dialects apart.

SQLite: write-ahead log, synchronous=FULL (a commit survives a power cut), one writer at a time by ``BEGIN IMMEDIATE``.
PostgreSQL: psycopg 3, read committed; rows are locked by the updates that name an execution's owner.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError, InternalError, OperationalError

from outrider.dispatcher.errors import AlreadyExists, StoreBusy, StoreUnavailable
from outrider.dispatcher.store import bulk, migrate

log = logging.getLogger(__name__)

#: How long a SQLite writer waits for another process's transaction.
BUSY_TIMEOUT_SECONDS = 20.0
#: How long a PostgreSQL transaction may wait for its client: more than planning the largest graph takes.
IDLE_TRANSACTION_SECONDS = 60.0


class Database:
    """An open, migrated database. Thread-safe; `close` when done."""

    def __init__(self, url: str) -> None:
        """Open `url` (an SQLAlchemy URL, or a path of a SQLite file) and migrate it.

        Raises `StoreUnavailable`, `StoreBusy`, `SchemaTooNew`.
        """
        self.url = _normalised(url)
        self._engine = _create_engine(self.url)
        self.sqlite = self._engine.dialect.name == "sqlite"
        self._repeated: list[Repeated] = []
        try:
            with self.begin() as connection:
                migrate.upgrade(connection, sqlite=self.sqlite)
        except Exception:
            self._engine.dispose()
            raise

    @contextlib.contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that writes; committed at the end of the block, rolled back on an error."""
        with _translated(self.url), self._engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads: one snapshot on SQLite, never in a writer's way."""
        with _translated(self.url), self._engine.connect() as connection:
            connection.execution_options(outrider_read_only=True)
            yield connection

    def repeated(self) -> Repeated:
        """Return transactions that write for one thread that makes one after the other."""
        made = Repeated(self._engine, self.url)
        self._repeated.append(made)
        return made

    def now(self, connection: Connection) -> float:
        """Return the database's clock, in seconds since the epoch: the clock of leases and records."""
        if self.sqlite:
            # It has none of its own: what it says is the clock of the machine, on which all its processes are.
            return time.time()
        return float(connection.exec_driver_sql(_NOW).scalar_one())

    def close(self) -> None:
        """Close all connections."""
        for each in self._repeated:
            each.close()
        self._engine.dispose()


class Repeated:
    """Transactions that write, of one thread, which makes hundreds a second: the engine's turns.

    On SQLite they share a connection: to take one from the pool and to give it back costs as much as their statements
    do. PostgreSQL's come from the pool, which looks whether a connection still lives.
    """

    def __init__(self, engine: Engine, url: str) -> None:
        self._engine = engine
        self._url = url
        self._kept: Connection | None = None

    @contextlib.contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction as `Database.begin` makes it; after an error, the next one has a new connection."""
        if self._engine.dialect.name != "sqlite":
            with _translated(self._url), self._engine.begin() as connection:
                yield connection
            return
        try:
            with _translated(self._url):
                self._kept = self._kept or self._engine.connect()
                with self._kept.begin():
                    yield self._kept
        except BaseException:  # whatever it was: nobody knows what state the connection is in
            self.close()
            raise

    def close(self) -> None:
        """Give the connection up."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()


_KINDS = ("sqlite", "postgresql")
_NOW = "SELECT extract(epoch from clock_timestamp())::float8"


def insert_new(
    connection: Connection,
    table: sa.Table,
    rows: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    kind: str,
    name: str,
) -> None:
    """Insert what must not exist yet; raises `AlreadyExists`, and the transaction can go on."""
    try:
        with connection.begin_nested():
            connection.execute(sa.insert(table), rows)
    except IntegrityError as error:
        raise AlreadyExists(kind, name) from error


def insert_ignoring_duplicates(connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert `rows`; those that exist already (by any unique key) are left as they are."""
    if not rows:
        return
    connection.execute(_insert(connection, table).on_conflict_do_nothing(), list(rows))


def upsert(connection: Connection, table: sa.Table, row: Mapping[str, Any], *, keys: Sequence[str]) -> None:
    """Insert `row`, or update the existing row of the same `keys`."""
    statement = _insert(connection, table).values(dict(row))
    changes = {name: statement.excluded[name] for name in row if name not in keys and name != "created_at"}
    connection.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=changes))


def _insert(connection: Connection, table: sa.Table) -> Any:
    """Return the dialect's own insert; only the dialect in use is loaded."""
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


def _normalised(url: str) -> str:
    """Return an SQLAlchemy URL for `url`, which may be a path or a plain ``postgresql://``."""
    if "://" not in url:
        path = Path(url).expanduser().absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{path}"
    for plain in ("postgresql://", "postgres://"):
        if url.startswith(plain):
            return "postgresql+psycopg://" + url.removeprefix(plain)
    return url


_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "cache_size=-32000",
    # One of the engine's transactions fills SQLite's thousand pages, and the next ones write the same pages again: with
    # four thousand, a fifth less is written to the disk.
    "wal_autocheckpoint=4000",
)


def _create_engine(url: str) -> Engine:
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        parsed = None
    if parsed is None or parsed.get_backend_name() not in _KINDS:
        # The address may hold a password, and cannot be taken apart to leave it out.
        raise StoreUnavailable(
            f"the database address {url.partition('://')[0]}://… cannot be used: write "
            "postgresql://user:password@host:5432/name, or the path of a SQLite file"
        )
    if not url.startswith("sqlite"):
        # A dispatcher that is suspended in the middle of a transaction must not hold its rows for ever.
        options = f"-c idle_in_transaction_session_timeout={int(IDLE_TRANSACTION_SECONDS * 1000)}"
        arguments = {"connect_timeout": 5, "options": options}
        return sa.create_engine(url, pool_pre_ping=True, pool_size=5, connect_args=arguments)
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # sqlite3 must not begin transactions by itself
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get("outrider_read_only", False)
        bulk.begin(connection, "BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


@contextlib.contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn the driver's connection errors into ours; programming errors pass as they are.

    Internal ones are the server's, too: it was made a standby, for example, and only reads.
    """
    try:
        yield
    except (OperationalError, InternalError) as error:
        shown = sa.make_url(url).render_as_string(hide_password=True)
        if "locked" in str(error.orig):
            raise StoreBusy(f"{shown}: another process has held the database for {BUSY_TIMEOUT_SECONDS:g} s") from error
        raise StoreUnavailable(f"{shown}: {error.orig}") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise StoreUnavailable(f"the connection to the database broke: {error.orig}") from error
        if type(error) is DatabaseError and url.startswith("sqlite"):
            # Neither a wrong statement nor a wrong value, which have classes of their own: SQLite cannot read the file.
            raise StoreUnavailable(
                f"{url}: {error.orig}; it is another program's file, or damaged: restore a backup, or name another "
                "one (the setting database_url)"
            ) from error
        raise
