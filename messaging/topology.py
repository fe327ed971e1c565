"""Names and shapes of the exchanges and queues (see `docs/how-it-works.md`).

The dispatcher and the installer declare; an agent only checks. Routing keys of agents begin with ``<agent id>.``, which
the broker's topic permissions enforce.
"""

from __future__ import annotations

from outrider.messaging.transport import Binding, Exchange, ExchangeKind, Queue, Topology

OPERATIONS = "outrider.operations"
CONTROL = "outrider.control"
RESULTS = "outrider.results"
UPDATES = "outrider.updates"
HEARTBEATS = "outrider.heartbeats"
#: Agents' questions (secrets, a new journal epoch); any dispatcher answers.
REQUESTS = "outrider.requests"
#: Agents' answers to control requests; each dispatcher has an exclusive queue bound to ``*.<dispatcher id>``.
REPLIES = "outrider.replies"
#: A dispatcher that recorded a result for another one's execution wakes it: routing key = dispatcher id.
WAKE = "outrider.wake"
DEAD = "outrider.dead"

#: Heartbeats older than this are worthless.
HEARTBEAT_TTL_SECONDS = 10.0


def agent_queue(agent_id: str) -> str:
    """Return the name of the queue that holds an agent's tasks."""
    return f"outrider.agent.{agent_id}"


def agent_control_queue(agent_id: str) -> str:
    """Return the name of the queue that holds control requests for an agent, and replies to its own."""
    return f"outrider.agent.{agent_id}.control"


def dispatcher_queue(dispatcher_id: str) -> str:
    """Return the name of a dispatcher's own queue (replies and wake-ups)."""
    return f"outrider.dispatcher.{dispatcher_id}"


def shared_topology() -> Topology:
    """Return what every installation has, whatever its agents."""
    return Topology(
        exchanges=(
            Exchange(OPERATIONS, ExchangeKind.DIRECT),
            Exchange(CONTROL, ExchangeKind.DIRECT),
            Exchange(RESULTS, ExchangeKind.TOPIC),
            Exchange(UPDATES, ExchangeKind.TOPIC),
            Exchange(HEARTBEATS, ExchangeKind.TOPIC),
            Exchange(REQUESTS, ExchangeKind.TOPIC),
            Exchange(REPLIES, ExchangeKind.TOPIC),
            Exchange(WAKE, ExchangeKind.DIRECT),
            Exchange(DEAD, ExchangeKind.FANOUT),
        ),
        queues=(
            Queue(RESULTS, quorum=True, dead_letter_exchange=DEAD, delivery_limit=100),
            Queue(
                UPDATES,
                quorum=True,
                dead_letter_exchange=DEAD,
                delivery_limit=100,
                max_length=50_000,
                overflow="reject-publish",
            ),
            Queue(HEARTBEATS, max_length=10_000, overflow="drop-head", message_ttl_seconds=HEARTBEAT_TTL_SECONDS),
            Queue(REQUESTS, max_length=10_000, overflow="drop-head", message_ttl_seconds=30.0),
            Queue(DEAD, quorum=True),
        ),
        bindings=(
            Binding(RESULTS, RESULTS, "#"),
            Binding(UPDATES, UPDATES, "#"),
            Binding(HEARTBEATS, HEARTBEATS, "#"),
            Binding(REQUESTS, REQUESTS, "#"),
            Binding(DEAD, DEAD, "#"),
        ),
    )


def agent_topology(agent_id: str) -> Topology:
    """Return what one agent needs besides `shared_topology`."""
    queue, control = agent_queue(agent_id), agent_control_queue(agent_id)
    return Topology(
        queues=(
            Queue(
                queue,
                quorum=True,
                single_active_consumer=True,
                dead_letter_exchange=DEAD,
                delivery_limit=100,
                max_length=100_000,
                overflow="reject-publish",
                policy_pattern=r"^outrider\.agent\.[^.]+$",
            ),
            Queue(
                control,
                max_length=1_000,
                overflow="drop-head",
                message_ttl_seconds=60.0,
                policy_pattern=r"^outrider\.agent\.[^.]+\.control$",
            ),
        ),
        bindings=(Binding(OPERATIONS, queue, agent_id), Binding(CONTROL, control, agent_id)),
    )


def dispatcher_topology(dispatcher_id: str) -> Topology:
    """Return the exclusive queue of one dispatcher process."""
    queue = dispatcher_queue(dispatcher_id)
    return Topology(
        queues=(Queue(queue, exclusive=True),),
        bindings=(Binding(REPLIES, queue, f"*.{dispatcher_id}"), Binding(WAKE, queue, dispatcher_id)),
    )
