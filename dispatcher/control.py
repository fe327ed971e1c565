"""Control messages: what the engine asks of agents, and its answers to what agents ask. Never durable, never stored."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from outrider.dispatcher import manager_access
from outrider.dispatcher.errors import DispatcherError
from outrider.dispatcher.manager_access import ManagerAccess
from outrider.dispatcher.recorder import not_allowed
from outrider.dispatcher.signals import RequestArrived
from outrider.dispatcher.store import attempts, executions
from outrider.dispatcher.store.attempts import Attempt, AttemptState
from outrider.dispatcher.turn import Turn
from outrider.messaging import topology
from outrider.messaging.codec import encode
from outrider.messaging.messages import MANAGER_ACCESS, ControlKind, ControlReply, ControlRequest
from outrider.messaging.transport import Outgoing

log = logging.getLogger(__name__)

#: (tenant, names that the attempt may have, names that are asked for) → values by name.
Redeem = Callable[[str, Iterable[str], Iterable[str]], Mapping[str, Any]]

#: Answers a workflow function at once or later, with a note of its own.
AskWorkflow = Callable[[Turn, ControlRequest, Attempt], None]

#: A question that nobody reads within this time is dropped by the broker; it is asked again if it still matters.
EXPIRES_SECONDS = 30.0


def request(
    kind: ControlKind,
    agent_id: str,
    dispatcher_id: str,
    *,
    attempt_id: str | None = None,
    payload: Mapping[str, Any] | None = None,
    request_id: str | None = None,
) -> Outgoing:
    """Return a question to an agent."""
    message = ControlRequest(
        request_id=request_id or uuid.uuid4().hex,
        kind=kind,
        agent_id=agent_id,
        reply_to=dispatcher_id,
        attempt_id=attempt_id,
        payload=payload or {},
    )
    return Outgoing(
        topology.CONTROL, agent_id, encode(message), persistent=False, mandatory=False, expires_seconds=EXPIRES_SECONDS
    )


def wake_up(owner: str, dispatcher_id: str) -> Outgoing:
    """Return the message that makes another dispatcher look into the store."""
    message = ControlRequest(uuid.uuid4().hex, ControlKind.PING, agent_id="", reply_to=dispatcher_id)
    return Outgoing(topology.WAKE, owner, encode(message), persistent=False, expires_seconds=EXPIRES_SECONDS)


def answer(
    turn: Turn,
    arrivals: Iterable[RequestArrived],
    redeem: Redeem | None,
    ask_workflow: AskWorkflow,
    *,
    manager: ManagerAccess | None,
) -> None:
    """Answer what agents ask."""
    listed = list(arrivals)
    ids = [each.request.attempt_id for each in listed if each.request.attempt_id]
    known = attempts.by_ids(turn.connection, ids)
    for arrival in listed:
        turn.to_ack.append(arrival.delivery)
        asked = arrival.request
        if asked.kind not in (ControlKind.REDEEM_SECRETS, ControlKind.WORKFLOW):
            turn.notes.append(reply(asked, error=f"a dispatcher does not answer {asked.kind.value!r}"))
            continue
        attempt = known.get(asked.attempt_id or "")
        problem = not_allowed(attempt, asked.token, asked.agent_id, arrival.delivery)
        if attempt is None or problem is not None:
            turn.notes.append(reply(asked, error=problem or ""))
        elif asked.kind is ControlKind.WORKFLOW:
            ask_workflow(turn, asked, attempt)
        elif attempt.state is AttemptState.ENDED:
            turn.notes.append(reply(asked, error=f"attempt {attempt.id} has a verdict already: no secrets any more"))
        elif asked.payload.get("names") == [MANAGER_ACCESS]:
            turn.notes.append(_manager(turn, asked, attempt, manager))
        elif redeem is None:
            turn.notes.append(reply(asked, error="this dispatcher has no store of secrets"))
        else:
            tenant = executions.get(turn.connection, attempt.execution_id).tenant
            turn.notes.append(_redeemed(asked, redeem, tenant, attempt.secrets))


def _manager(turn: Turn, asked: ControlRequest, attempt: Attempt, manager: ManagerAccess | None) -> Outgoing:
    if manager is not None:
        access = manager.grant(turn.connection, attempt, now=turn.stored_now)
        return reply(asked, payload={"secrets": {MANAGER_ACCESS: access}})
    if manager_access.others_may_know(turn.connection, now=turn.stored_now):
        return reply(asked, payload={"again": True})
    return reply(asked, payload={"secrets": {}})


def _redeemed(asked: ControlRequest, redeem: Redeem, tenant: str, allowed: tuple[str, ...]) -> Outgoing:
    try:
        values = redeem(tenant, allowed, asked.payload.get("names") or allowed)
    except DispatcherError as error:
        return reply(asked, error=str(error))
    except Exception as error:
        # What is redeemed lies in files, too, and the agent asks again and again: it must not end every turn.
        log.exception("nothing can be redeemed for attempt %s", asked.attempt_id, extra={"action": "redeem"})
        return reply(asked, error=f"the dispatcher failed at it: {type(error).__name__}: {error}")
    return reply(asked, payload={"secrets": dict(values)})


def reply(asked: ControlRequest, *, payload: Mapping[str, Any] | None = None, error: str | None = None) -> Outgoing:
    """Return the answer to a question of an agent."""
    message = ControlReply(asked.request_id, asked.agent_id, error is None, payload or {}, error)
    return Outgoing(
        topology.CONTROL, asked.reply_to, encode(message), persistent=False, expires_seconds=EXPIRES_SECONDS
    )
