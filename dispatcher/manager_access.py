"""How an operation reaches the manager's REST API: handed out when the operation asks, never stored with a task.

Plugins call the manager back (`cloudify.manager.get_rest_client`). What they need for that (address, authority, a token
that is good for their execution only) is asked for by the running operation, through its agent, under a reserved name
like those of `dispatcher/host_agents.py`; the engine answers in the transaction that makes the token. Most operations
never ask, and cost nothing more. All operations of an execution get the same token, and the end of the execution
deletes it (`store.tokens.delete_of_executions`).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from outrider.dispatcher.store import executions, ownership, tokens

#: An execution's token is void when the execution ends; this bounds those of executions that run for long. An
#: operation that runs even longer asks again.
TOKEN_SECONDS = 24 * 3600.0
#: A token is given to further operations while at least this much is left of its time.
REUSED_SECONDS = TOKEN_SECONDS / 2
#: Executions whose tokens are remembered: more than a dispatcher runs at once by default, at 200 bytes each.
REMEMBERED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerAddress:
    """Where operations find the manager that this dispatcher belongs to."""

    protocol: str
    host: str
    port: int
    #: PEM of the authority that signed its certificate, if that is not a public one.
    ca_pem: str | None = None


class ManagerAccess:
    """Hands the way to the manager out. Used by the engine's thread only."""

    def __init__(self, address: ManagerAddress) -> None:
        self._address = address
        #: Execution → the text of its token, which is nowhere else: the store has a hash.
        self._texts: OrderedDict[str, str] = OrderedDict()

    def grant(self, connection: Connection, execution_id: str, *, now: float) -> dict[str, Any]:
        """Return what an operation of an execution needs to call the manager; makes a token, once per execution."""
        text, expires_at = self._known(connection, execution_id, now=now) or self._made(
            connection, execution_id, now=now
        )
        return {
            "protocol": self._address.protocol,
            "host": self._address.host,
            "port": self._address.port,
            "ca_pem": self._address.ca_pem,
            "token": text,
            "token_seconds": expires_at - now,
        }

    def _known(self, connection: Connection, execution_id: str, *, now: float) -> tuple[str, float] | None:
        """Return the token that was made before, if the store has it: its transaction may have been undone."""
        text = self._texts.get(execution_id)
        token = None if text is None else tokens.find(connection, text)
        if text is None or token is None or token.expires_at is None or token.expires_at < now + REUSED_SECONDS:
            return None
        return text, token.expires_at

    def _made(self, connection: Connection, execution_id: str, *, now: float) -> tuple[str, float]:
        tokens.delete_expired(connection, now=now)
        execution = executions.get(connection, execution_id)
        expires_at = now + TOKEN_SECONDS
        _token, text = tokens.create(
            connection, execution.created_by or "", now=now, execution_id=execution_id, expires_at=expires_at
        )
        self._texts[execution_id] = text
        self._texts.move_to_end(execution_id)
        while len(self._texts) > REMEMBERED:
            self._texts.popitem(last=False)
        return text, expires_at


def others_may_know(connection: Connection, *, now: float) -> bool:
    """Tell whether there are further dispatchers: one of them may be a manager's where this one is not."""
    return sum(each.lease_until >= now for each in ownership.members(connection)) > 1
