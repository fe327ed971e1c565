"""How an operation reaches the manager's REST API: handed out when the operation asks, never stored with a task.

Plugins call the manager back (`cloudify.manager.get_rest_client`). What they need for that (address, authority, a token
that is good for their execution only) is asked for by the running operation, through its agent, under a reserved name
like those of `dispatcher/host_agents.py`; the engine answers in the transaction that makes the token. Most operations
never ask, and cost nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from outrider.dispatcher.store import executions, ownership, tokens

#: An execution's token is void when the execution ends; this bounds those of executions that run for long. An
#: operation that runs even longer asks again.
TOKEN_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerAddress:
    """Where operations find the manager that this dispatcher belongs to."""

    protocol: str
    host: str
    port: int
    #: PEM of the authority that signed its certificate, if that is not a public one.
    ca_pem: str | None = None


def grant(connection: Connection, address: ManagerAddress, execution_id: str, *, now: float) -> dict[str, Any]:
    """Return what an operation of an execution needs to call the manager; makes a token."""
    tokens.delete_expired(connection, now=now)
    execution = executions.get(connection, execution_id)
    _token, text = tokens.create(
        connection,
        execution.created_by or "",
        now=now,
        execution_id=execution_id,
        expires_at=now + TOKEN_SECONDS,
    )
    return {
        "protocol": address.protocol,
        "host": address.host,
        "port": address.port,
        "ca_pem": address.ca_pem,
        "token": text,
        "token_seconds": TOKEN_SECONDS,
    }


def others_may_know(connection: Connection, *, now: float) -> bool:
    """Tell whether there are further dispatchers: one of them may be a manager's where this one is not."""
    return sum(each.lease_until >= now for each in ownership.members(connection)) > 1
