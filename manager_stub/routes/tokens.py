"""Tokens of people: made, listed and made void by their owner (and by administrators)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter
from sqlalchemy.engine import Connection

from outrider.dispatcher.store import tokens, users
from outrider.dispatcher.store.schema import TOKENS
from outrider.dispatcher.store.tokens import Token
from outrider.manager_stub.bodies import TokenBody
from outrider.manager_stub.calls import Call, Person
from outrider.manager_stub.errors import Missing
from outrider.manager_stub.listing import Listing, slice_of
from outrider.manager_stub.wire import parse_time, time_text

routes = APIRouter(tags=["tokens"])


@routes.post("/tokens")
def create_token(call: Person, body: TokenBody) -> dict[str, Any]:
    """Make a token; its value is in this answer and nowhere else."""
    with call.write() as connection:
        now = call.now(connection)
        tokens.delete_expired(connection, now=now)
        expires_at = parse_time(body.expiration_date, now=now) if body.expiration_date else None
        token, value = tokens.create(
            connection, call.caller.user, now=now, description=body.description, expires_at=expires_at
        )
        return {**_shape(connection, token), "value": value}


@routes.get("/tokens")
def list_tokens(call: Person, listing: Listing) -> dict[str, Any]:
    """List one's tokens; administrators see everybody's."""
    query = sa.select(TOKENS).where(TOKENS.c.execution_id.is_(None)).order_by(TOKENS.c.created_at)
    if not call.caller.is_admin:
        query = query.where(TOKENS.c.user == call.caller.user)
    with call.read() as connection:
        found = [Token(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - a row as a mapping
        return slice_of([_shape(connection, token) for token in found], listing)


@routes.get("/tokens/{token_id}")
def get_token(call: Person, token_id: str) -> dict[str, Any]:
    """Return one token."""
    with call.read() as connection:
        return _shape(connection, _own(connection, call, token_id))


@routes.delete("/tokens/{token_id}", status_code=204)
def delete_token(call: Person, token_id: str) -> None:
    """Make a token void, at once."""
    with call.write() as connection:
        tokens.delete(connection, _own(connection, call, token_id).id)


def _own(connection: Connection, call: Call, token_id: str) -> Token:
    token = tokens.get(connection, token_id)
    if token.user != call.caller.user and not call.caller.is_admin:
        raise Missing("token", token_id)
    return token


def _shape(connection: Connection, token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "value": f"{tokens.PREFIX}-{token.id}-********",
        "username": token.user,
        "role": users.get(connection, token.user).role,
        "description": token.description,
        "expiration_date": time_text(token.expires_at),
        "last_used": time_text(token.last_used_at),
    }
