"""What of a queue may change later, as RabbitMQ policies: lengths, lifetimes, limits, how dead letters are moved.

A queue's arguments are fixed for its life: declaring it with others fails. So arguments hold only what never changes,
and everything else is a policy, which an operator may override with one of a higher priority.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outrider.messaging.transport import Queue, Topology


@dataclass(frozen=True)
class Policy:
    """Settings that the broker applies to every queue whose name matches, now and later."""

    name: str
    pattern: str
    definition: Mapping[str, Any]
    priority: int = 0


def queue_arguments(queue: Queue) -> dict[str, Any]:
    """Return what is fixed when the queue is declared."""
    arguments: dict[str, Any] = {}
    if not queue.exclusive:
        arguments["x-queue-type"] = "quorum" if queue.quorum else "classic"
    if queue.single_active_consumer:
        arguments["x-single-active-consumer"] = True
    if queue.dead_letter_exchange is not None:
        arguments["x-dead-letter-exchange"] = queue.dead_letter_exchange
        arguments["x-dead-letter-routing-key"] = queue.name
    return arguments


def policies_for(topology: Topology) -> tuple[Policy, ...]:
    """Return the policies of a topology's queues; queues that share a pattern share the first one's settings."""
    policies: dict[str, Policy] = {}
    for queue in topology.queues:
        definition = _definition(queue)
        pattern = queue.policy_pattern or f"^{_escape(queue.name)}$"
        if definition and pattern not in policies:
            policies[pattern] = Policy(_readable(pattern), pattern, definition)
    return tuple(policies.values())


def _definition(queue: Queue) -> dict[str, Any]:
    definition: dict[str, Any] = {}
    if queue.max_length is not None:
        definition["max-length"] = queue.max_length
    if queue.overflow is not None:
        definition["overflow"] = queue.overflow
    if queue.message_ttl_seconds is not None:
        definition["message-ttl"] = round(queue.message_ttl_seconds * 1000)
    if queue.quorum and queue.delivery_limit is not None:
        definition["delivery-limit"] = queue.delivery_limit
    if queue.quorum and queue.dead_letter_exchange is not None and queue.overflow in (None, "reject-publish"):
        # Moved with confirms, so that the broker's death in between loses none; RabbitMQ wants reject-publish for it.
        definition["dead-letter-strategy"] = "at-least-once"
        definition["overflow"] = "reject-publish"
    return definition


def _escape(name: str) -> str:
    """Return a name as a regular expression of the broker's dialect (Erlang's `re`)."""
    return "".join(character if character.isalnum() or character in "_-" else f"\\{character}" for character in name)


def _readable(pattern: str) -> str:
    """Return a policy's name: what operators see in lists."""
    return pattern.strip("^$").replace("[^.]+", "*").replace("\\", "")
