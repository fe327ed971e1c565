"""The contract of a transport: what dispatcher, agent and installer need of a message broker.

Two implementations: `outrider.messaging.amqp` (RabbitMQ) and `outrider.messaging.embedded` (in process). Both pass one
contract test suite. All methods may be called from any thread. Handlers run on the transport's own threads, one at
a time per consumer, and must return quickly (hand over to a queue).
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Callable, Optional, Protocol


class Confirmation(str, Enum):
    """What became of a published message."""

    #: The broker has it, safely.
    CONFIRMED = "confirmed"
    #: No queue takes this routing key (`mandatory`): evidence that nobody has the message.
    RETURNED = "returned"
    #: The broker refused it (a full queue): evidence that nobody has the message.
    NACKED = "nacked"
    #: The broker is known to take no message of its size: evidence that nobody has it, and it need not be tried again.
    TOO_LARGE = "too large"
    #: The connection ended first: the message may or may not have arrived. Publish the same again.
    UNKNOWN = "unknown"


def confirmation_of(published: Future[Confirmation]) -> Confirmation:
    """Return what `Transport.publish` came to: UNKNOWN also where it was given up, or failed."""
    failed = published.cancelled() or published.exception() is not None
    return Confirmation.UNKNOWN if failed else published.result()


class ExchangeKind(str, Enum):
    """How an exchange routes."""

    DIRECT = "direct"
    TOPIC = "topic"
    FANOUT = "fanout"


@dataclass(frozen=True)
class Exchange:
    """A durable exchange."""

    name: str
    kind: ExchangeKind


@dataclass(frozen=True)
class Queue:
    """A queue. What may change later (lengths, TTLs, limits) a broker keeps as policy, aside from the queue."""

    name: str
    #: Replicated and durable (RabbitMQ: a quorum queue). Otherwise a classic durable queue, unless `exclusive`.
    quorum: bool = False
    #: Lives and dies with the connection that declared it.
    exclusive: bool = False
    single_active_consumer: bool = False
    #: Exchange that takes what is rejected, expired or over the delivery limit; with the queue's name as key.
    dead_letter_exchange: Optional[str] = None
    max_length: Optional[int] = None
    #: ``reject-publish`` (the publisher is nacked) or ``drop-head``; only with `max_length`.
    overflow: Optional[str] = None
    message_ttl_seconds: Optional[float] = None
    delivery_limit: Optional[int] = None
    #: Queues that share their changeable settings share one policy of the broker: a regular expression for their
    #: names. None = a policy for this queue alone.
    policy_pattern: Optional[str] = None


@dataclass(frozen=True)
class Binding:
    """Messages of `exchange` whose key matches `routing_key` go to `queue`."""

    exchange: str
    queue: str
    routing_key: str


@dataclass(frozen=True)
class Topology:
    """What has to exist in the broker."""

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()

    def without_queue(self, name: str) -> Topology:
        """Return it without a queue, and without what is bound to that."""
        return replace(
            self,
            queues=tuple(queue for queue in self.queues if queue.name != name),
            bindings=tuple(binding for binding in self.bindings if binding.queue != name),
        )


@dataclass(frozen=True)
class Outgoing:
    """A message to publish."""

    exchange: str
    routing_key: str
    body: bytes
    #: Durable (written to the broker's disk) or not (heartbeats, control, secrets).
    persistent: bool = True
    #: RETURNED if no queue takes it.
    mandatory: bool = False
    #: Dead-lettered (or dropped) if not delivered within this time.
    expires_seconds: Optional[float] = None
    message_id: Optional[str] = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    #: Messages of one lane keep their order and share a channel; another lane never waits behind it (logs, results).
    lane: str = "default"


class Delivery(Protocol):
    """A message that was received and has to be settled exactly once.

    Settling after the connection was lost does nothing: the broker delivers the message again.
    """

    @property
    def body(self) -> bytes: ...
    @property
    def exchange(self) -> str: ...
    @property
    def routing_key(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, Any]: ...
    @property
    def message_id(self) -> Optional[str]: ...
    @property
    def user_id(self) -> Optional[str]:
        """The account that published it, verified by the broker; None where accounts do not exist (embedded)."""

    @property
    def redelivered(self) -> bool: ...

    @property
    def dead_letter(self) -> Optional[DeadLetter]:
        """Why and from where it was dead-lettered, on a dead-letter queue; else None."""

    def ack(self) -> None:
        """Say that it is taken care of."""

    def requeue(self) -> None:
        """Give it back."""

    def reject(self, reason: str) -> None:
        """Send it to the dead-letter exchange; the reason is logged and reported (see `Transport.on_rejection`)."""


@dataclass(frozen=True)
class DeadLetter:
    """Where a dead letter came from."""

    queue: str
    #: ``rejected``, ``expired``, ``maxlen`` or ``delivery_limit``.
    reason: str
    count: int = 1


class Consumer(Protocol):
    """A running consumer; it survives reconnections."""

    @property
    def alive(self) -> bool:
        """Whether the broker currently serves this consumer (not only whether the process lives)."""

    def cancel(self) -> None:
        """Stop taking messages; deliveries already handed out may still be settled."""


Handler = Callable[[Delivery], None]


class Transport(Protocol):
    """A connection (or several) to a broker that comes back by itself."""

    @property
    def connected(self) -> bool:
        """Whether the broker is reachable now."""

    def on_connection_change(self, listener: Callable[[bool], None]) -> None:
        """Call `listener(connected)` at each loss and each return of the connection, from a transport's thread."""

    def on_rejection(self, listener: Callable[[Delivery, str], None]) -> None:
        """Call `listener(delivery, reason)` for each message that this transport's consumers reject."""

    def declare(self, topology: Topology) -> None:
        """Make sure that everything of `topology` exists (idempotent), also after a reconnection.

        Raises `TopologyMismatch` if something exists with other arguments, `ConnectFailed` if the broker stays away,
        `TransportClosed`.
        """

    def check(self, topology: Topology) -> None:
        """Check passively that the queues and exchanges exist; raises `TopologyMismatch` with what is missing."""

    def delete_queue(self, name: str) -> None:
        """Delete a queue with what is in it, and declare it no more; a queue that does not exist is fine."""

    def queue_depth(self, name: str) -> Optional[int]:
        """Number of messages that wait in the queue; None if the queue does not exist."""

    def publish(self, message: Outgoing) -> Future[Confirmation]:
        """Publish; many may be under way at once. The future always gets a `Confirmation` or `TransportClosed`.

        While the broker is away the future ends with UNKNOWN (nothing is buffered across connections: what must
        survive lies on the caller's disk).
        """

    def consume(self, queue: str, handler: Handler, *, prefetch: int, dedicated: bool = False) -> Consumer:
        """Deliver the queue's messages to `handler`, at most `prefetch` unsettled at a time.

        `dedicated`: on a connection and thread of its own, so that it never waits behind other work.
        """

    def close(self, *, timeout_seconds: float = 5.0) -> None:
        """End consumers, wait for confirmations under way up to the limit, close. Idempotent."""
