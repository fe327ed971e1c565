"""How an operation reaches the manager's REST API: handed out when the operation asks, never stored with a task.

Plugins call the manager back (`cloudify.manager.get_rest_client`). What they need for that (address, authority, a token
that is good for their execution only) is asked for by the running operation, through its agent, under a reserved name
like those of `dispatcher/host_agents.py`; the engine answers in the transaction that makes the token. Most operations
never ask, and cost nothing more. All operations of an execution get the same token, and the end of the execution
deletes it (`store.tokens.delete_of_executions`).

An execution has two tokens at most. What runs on the central agent (operations there, and workflow functions) is
trusted as the manager itself is: its token stands for the user who started the execution. A host is less trusted, and
may be somebody else's: what asks from there gets a token for its own execution and deployment only.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine import Connection

from outrider.dispatcher.store import executions, ownership, tokens
from outrider.dispatcher.store.attempts import Attempt

#: An execution's token is void when the execution ends; this bounds those of executions that run for long. An
#: operation that runs even longer asks again.
TOKEN_SECONDS = 24 * 3600.0
#: A token is given to further operations while at least this much is left of its time.
REUSED_SECONDS = TOKEN_SECONDS / 2
#: Tokens that are remembered: more than a dispatcher needs at once by default, at 200 bytes each.
REMEMBERED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerAddress:
    """Where operations find the manager that this dispatcher belongs to."""

    protocol: str
    host: str
    port: int
    #: PEM of the authority that signed its certificate, if that is not a public one.
    ca_pem: str | None = None


@dataclass(frozen=True, slots=True)
class _Key:
    """Which of an execution's tokens."""

    execution_id: str
    for_starter: bool = field(kw_only=True)


class ManagerAccess:
    """Hands the way to the manager out. Used by the engine's thread only."""

    def __init__(self, address: ManagerAddress, *, central_agent: str) -> None:
        self._address = address
        self._central_agent = central_agent
        #: The text of each token, which is nowhere else: the store has a hash.
        self._texts: OrderedDict[_Key, str] = OrderedDict()

    def grant(self, connection: Connection, attempt: Attempt, *, now: float) -> dict[str, Any]:
        """Return what an operation needs to call the manager; makes a token if its execution has none of the kind."""
        key = _Key(attempt.execution_id, for_starter=attempt.agent_id == self._central_agent)
        text, expires_at = self._known(connection, key, now=now) or self._made(connection, key, now=now)
        return {
            "protocol": self._address.protocol,
            "host": self._address.host,
            "port": self._address.port,
            "ca_pem": self._address.ca_pem,
            "token": text,
            "token_seconds": expires_at - now,
        }

    def _known(self, connection: Connection, key: _Key, *, now: float) -> tuple[str, float] | None:
        """Return the token that was made before, if the store has it: its transaction may have been undone."""
        text = self._texts.get(key)
        token = None if text is None else tokens.find(connection, text)
        if text is None or token is None or token.expires_at is None or token.expires_at < now + REUSED_SECONDS:
            return None
        return text, token.expires_at

    def _made(self, connection: Connection, key: _Key, *, now: float) -> tuple[str, float]:
        tokens.delete_expired(connection, now=now)
        execution = executions.get(connection, key.execution_id)
        expires_at = now + TOKEN_SECONDS
        _token, text = tokens.create(
            connection,
            execution.created_by or "",
            now=now,
            execution_id=execution.id,
            for_starter=key.for_starter,
            expires_at=expires_at,
        )
        self._texts[key] = text
        self._texts.move_to_end(key)
        while len(self._texts) > REMEMBERED:
            self._texts.popitem(last=False)
        return text, expires_at


def others_may_know(connection: Connection, *, now: float) -> bool:
    """Tell whether there are further dispatchers: one of them may be a manager's where this one is not."""
    return sum(each.lease_until >= now for each in ownership.members(connection)) > 1
