"""Tokens of the REST API: a person's, and those that an execution's operations call back with. Only hashes are kept."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.errors import NotFound
from outrider.dispatcher.store.schema import TOKENS

PREFIX = "ctok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A row."""

    id: str
    user: str
    secret_hash: str = field(repr=False)
    execution_id: str | None = None
    #: See the column: only operations on the central agent and workflow functions get such a token.
    for_starter: bool = False
    description: str | None = None
    expires_at: float | None = None
    last_used_at: float | None = None
    created_at: float = 0.0


def create(
    connection: Connection,
    user: str,
    *,
    now: float,
    description: str | None = None,
    expires_at: float | None = None,
    execution_id: str | None = None,
    for_starter: bool = False,
) -> tuple[Token, str]:
    """Make a token; returns it with the text that its owner has to keep: ``ctok-<id>-<secret>``."""
    secret = secrets.token_urlsafe(30).replace("-", "_")
    token = Token(
        id=secrets.token_hex(5),
        user=user,
        secret_hash=_hash(secret),
        execution_id=execution_id,
        for_starter=for_starter,
        description=description,
        expires_at=expires_at,
        created_at=now,
    )
    connection.execute(sa.insert(TOKENS), {name: getattr(token, name) for name in Token.__dataclass_fields__})
    return token, f"{PREFIX}-{token.id}-{secret}"


def find(connection: Connection, text: str) -> Token | None:
    """Return the token behind a text, or None; whether it has expired is for the caller to judge."""
    prefix, _, rest = text.partition("-")
    token_id, _, secret = rest.partition("-")
    if prefix != PREFIX or not secret:
        return None
    row = connection.execute(sa.select(TOKENS).where(TOKENS.c.id == token_id)).one_or_none()
    if row is None or not hmac.compare_digest(row.secret_hash, _hash(secret)):
        return None
    return _record(row)


def get(connection: Connection, token_id: str) -> Token:
    """Return one token; raises `NotFound`."""
    row = connection.execute(sa.select(TOKENS).where(TOKENS.c.id == token_id)).one_or_none()
    if row is None:
        raise NotFound("token", token_id)
    return _record(row)


def touch(connection: Connection, token_id: str, *, now: float) -> None:
    """Remember that a token was used."""
    connection.execute(sa.update(TOKENS).where(TOKENS.c.id == token_id).values(last_used_at=now))


def delete(connection: Connection, token_id: str) -> None:
    """Make a token void; raises `NotFound`."""
    if connection.execute(sa.delete(TOKENS).where(TOKENS.c.id == token_id)).rowcount == 0:
        raise NotFound("token", token_id)


def delete_of_executions(connection: Connection, execution_ids: Sequence[str]) -> None:
    """Make the tokens of executions void, for good: also if one of them is resumed later."""
    connection.execute(_DELETE_OF_EXECUTIONS, {"ids": list(execution_ids)})


_DELETE_OF_EXECUTIONS = sa.delete(TOKENS).where(TOKENS.c.execution_id.in_(sa.bindparam("ids", expanding=True)))


def delete_expired(connection: Connection, *, now: float) -> None:
    """Forget tokens that expired."""
    connection.execute(sa.delete(TOKENS).where(TOKENS.c.expires_at < now))


def _hash(secret: str) -> str:
    # The secret has 240 random bits: there is nothing to guess, so a fast hash is right.
    return hashlib.sha256(secret.encode()).hexdigest()


def _record(row: Row[tuple[object, ...]]) -> Token:
    return Token(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
