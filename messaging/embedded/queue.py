"""A queue of the embedded broker: messages in order, and who takes them. Called with the broker's lock held."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Callable, Optional

from outrider.messaging.transport import DeadLetter, Outgoing, Queue


@dataclass
class StoredMessage:
    """A message in a queue, or handed out and not yet settled."""

    #: Position in its queue; given back, the message returns to it.
    sequence: int
    content: Outgoing
    #: Differs from `content.routing_key` after dead-lettering.
    exchange: str
    routing_key: str
    #: By the monotonic clock.
    expires_at: Optional[float] = None
    deliveries: int = 0
    dead_letter: Optional[DeadLetter] = None

    def __lt__(self, other: StoredMessage) -> bool:
        return self.sequence < other.sequence


@dataclass(eq=False)
class Subscription:
    """A consumer, as its queue sees it."""

    queue: str
    prefetch: int
    #: Must only hand over: it is called with the broker's lock held.
    deliver: Callable[[StoredMessage], None]
    unsettled: dict[int, StoredMessage] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """Whether it may be given one more message."""
        return len(self.unsettled) < self.prefetch


class StoredQueue:
    """Messages in order of arrival, and the subscriptions that take them in turn."""

    def __init__(self, spec: Queue, *, owner: Optional[object]) -> None:
        self.spec = spec
        #: The transport that an exclusive queue lives and dies with.
        self.owner = owner
        self.subscriptions: list[Subscription] = []
        self._messages: list[StoredMessage] = []

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def full(self) -> bool:
        """Whether one more message is over the length limit."""
        return self.spec.max_length is not None and len(self._messages) >= self.spec.max_length

    @property
    def head_expires_at(self) -> Optional[float]:
        """When the oldest message expires; as in RabbitMQ, one behind it waits until it is the oldest."""
        return self._messages[0].expires_at if self._messages else None

    def put(self, message: StoredMessage) -> None:
        """Add a message, or give one back to its place."""
        heapq.heappush(self._messages, message)

    def take(self) -> StoredMessage:
        """Remove and return the oldest message."""
        return heapq.heappop(self._messages)

    def take_expired(self, now: float) -> Iterator[StoredMessage]:
        """Remove the expired messages at the head, one by one."""
        while self._messages and self._messages[0].expires_at is not None and self._messages[0].expires_at <= now:
            yield heapq.heappop(self._messages)

    def next_subscription(self) -> Optional[Subscription]:
        """Return who gets the next message, if anybody may."""
        candidates = self.subscriptions[:1] if self.spec.single_active_consumer else self.subscriptions
        for subscription in candidates:
            if subscription.ready:
                if len(self.subscriptions) > 1 and not self.spec.single_active_consumer:
                    self.subscriptions.remove(subscription)
                    self.subscriptions.append(subscription)
                return subscription
        return None
