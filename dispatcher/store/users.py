"""Users of the REST API: their passwords' hashes, roles, and how often somebody guessed wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outrider.dispatcher.errors import NotFound
from outrider.dispatcher.store.database import insert_new
from outrider.dispatcher.store.schema import MEMBERS, TOKENS, USERS


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A row."""

    name: str
    password_hash: str | None = field(default=None, repr=False)
    role: str = "default"
    active: bool = True
    failures: int = 0
    locked_until: float | None = None
    last_login_at: float | None = None
    created_at: float = 0.0


def insert(connection: Connection, user: User, *, now: float) -> None:
    """Make a user; raises `AlreadyExists`."""
    row = {name: getattr(user, name) for name in User.__dataclass_fields__} | {"created_at": now}
    insert_new(connection, USERS, row, kind="user", name=user.name)


def get(connection: Connection, name: str) -> User:
    """Return one user; raises `NotFound`."""
    row = connection.execute(sa.select(USERS).where(USERS.c.name == name)).one_or_none()
    if row is None:
        raise NotFound("user", name)
    return User(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping


def any_exist(connection: Connection) -> bool:
    """Tell whether anybody could log in."""
    return connection.execute(sa.select(USERS.c.name).limit(1)).first() is not None


def update(connection: Connection, name: str, values: Mapping[str, Any]) -> None:
    """Change columns; raises `NotFound`."""
    if connection.execute(sa.update(USERS).where(USERS.c.name == name).values(**values)).rowcount == 0:
        raise NotFound("user", name)


def record_failure(connection: Connection, name: str, *, allowed: int, lock_seconds: float, now: float) -> None:
    """Count a wrong password; the one that goes beyond what is allowed locks the account for a while."""
    failures = connection.execute(
        sa.update(USERS).where(USERS.c.name == name).values(failures=USERS.c.failures + 1).returning(USERS.c.failures)
    ).scalar_one_or_none()
    if failures is not None and failures >= allowed:
        update(connection, name, {"locked_until": now + lock_seconds, "failures": 0})


def record_login(connection: Connection, name: str, *, now: float) -> None:
    """Count a right password."""
    update(connection, name, {"failures": 0, "locked_until": None, "last_login_at": now})


def delete(connection: Connection, name: str) -> None:
    """Delete a user with memberships and tokens; raises `NotFound`."""
    if connection.execute(sa.delete(USERS).where(USERS.c.name == name)).rowcount == 0:
        raise NotFound("user", name)
    connection.execute(sa.delete(MEMBERS).where(MEMBERS.c.user == name))
    connection.execute(sa.delete(TOKENS).where(TOKENS.c.user == name))
