"""What the embedded broker does: declare, route, hand out, dead-letter. Transports call it from any thread.

One lock guards everything. Publishing a message hands it to a waiting consumer's inbox before `publish` returns, so a
message costs one wake-up of one thread.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from dataclasses import replace
from typing import Callable, Optional

from outrider.messaging.delivery import Settlement
from outrider.messaging.embedded.exchange import StoredExchange
from outrider.messaging.embedded.expiry import ExpiryThread
from outrider.messaging.embedded.queue import StoredMessage, StoredQueue, Subscription
from outrider.messaging.errors import TopologyMismatch
from outrider.messaging.listeners import Listeners
from outrider.messaging.transport import (
    Binding,
    Confirmation,
    DeadLetter,
    Exchange,
    Outgoing,
    Queue,
    Topology,
)

logger = logging.getLogger(__name__)

#: What never changes after a queue's declaration; the rest may be declared anew with other values.
_FIXED = ("quorum", "exclusive", "single_active_consumer", "dead_letter_exchange")


class BrokerCore:
    """Queues and exchanges in memory, shared by the transports of one `EmbeddedBroker`."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.RLock()
        self._clock = clock
        self._queues: dict[str, StoredQueue] = {}
        self._exchanges: dict[str, StoredExchange] = {}
        self._sequence = itertools.count()
        self._expiry = ExpiryThread(self._lock, clock=clock, expire=self._expire)
        self._parties = 0
        self._available = True
        self._availability = Listeners()

    @property
    def available(self) -> bool:
        """Whether transports reach the broker: False while it is interrupted."""
        return self._available

    def set_available(self, available: bool) -> None:  # noqa: FBT001 - the name says what the value means
        """Begin or end an interruption, and tell the transports."""
        with self._lock:
            self._available = available
        self._availability.call(available)

    def attach(self, on_availability: Callable[[bool], None]) -> None:
        """Count a transport in; `on_availability` is called at each interruption and its end."""
        with self._lock:
            self._parties += 1
        self._availability.add(on_availability)

    def detach(self, party: object, on_availability: Callable[[bool], None]) -> None:
        """Count a transport out and delete its exclusive queues; after the last one no thread is left."""
        self._availability.remove(on_availability)
        with self._lock:
            self._parties -= 1
            self.delete_exclusive_queues(party)
            last = self._parties == 0
        if last:
            self._expiry.stop()

    def declare(self, topology: Topology, *, party: object) -> None:
        """Create what is missing; raise `TopologyMismatch` where something differs."""
        with self._lock:
            for exchange in topology.exchanges:
                self._declare_exchange(exchange)
            for queue in topology.queues:
                self._declare_queue(queue, party)
            for binding in topology.bindings:
                self._bind(binding)

    def check(self, topology: Topology) -> None:
        """Raise `TopologyMismatch` that names every queue and exchange that is missing."""
        with self._lock:
            missing = [f"exchange {e.name}" for e in topology.exchanges if e.name not in self._exchanges]
            missing += [f"queue {q.name}" for q in topology.queues if q.name not in self._queues]
        if missing:
            raise TopologyMismatch(f"missing in the embedded broker: {', '.join(missing)}; declare them first")

    def delete_queue(self, name: str) -> None:
        """Delete a queue with what is in it; its consumers get nothing more."""
        with self._lock:
            queue = self._queues.pop(name, None)
            if queue is None:
                return
            for exchange in self._exchanges.values():
                exchange.unbind_queue(name)
            for subscription in queue.subscriptions:
                subscription.unsettled.clear()
            queue.subscriptions.clear()

    def delete_exclusive_queues(self, party: object) -> None:
        """Delete the queues that live and die with this transport's connection."""
        with self._lock:
            for name in [name for name, queue in self._queues.items() if queue.owner is party]:
                self.delete_queue(name)

    def depth(self, name: str) -> Optional[int]:
        """Return how many messages wait in the queue; None if it does not exist."""
        with self._lock:
            self._expire()
            queue = self._queues.get(name)
            return None if queue is None else len(queue)

    def publish(self, content: Outgoing) -> Confirmation:
        """Route a message into queues and hand it out; returns what RabbitMQ would confirm."""
        with self._lock:
            if not self._available:
                return Confirmation.UNKNOWN
            queues = self._route(content.exchange, content.routing_key)
            if queues is None:
                # RabbitMQ closes the channel then, and the publisher never hears of the message again.
                logger.warning(
                    "published to exchange %s, which does not exist",
                    content.exchange,
                    extra={"action": "exchange_missing", "exchange": content.exchange},
                )
                return Confirmation.UNKNOWN
            if not queues:
                return Confirmation.RETURNED if content.mandatory else Confirmation.CONFIRMED
            accepted = [
                self._enqueue(queue, content, exchange=content.exchange, routing_key=content.routing_key)
                for queue in queues
            ]
            return Confirmation.CONFIRMED if all(accepted) else Confirmation.NACKED

    def subscribe(self, subscription: Subscription, *, party: object) -> None:
        """Begin to hand out messages; raises `TopologyMismatch` if the queue is missing or another transport's own."""
        with self._lock:
            queue = self._queues.get(subscription.queue)
            if queue is None:
                raise TopologyMismatch(f"queue {subscription.queue} is missing in the embedded broker")
            if queue.owner is not None and queue.owner is not party:
                raise TopologyMismatch(f"queue {subscription.queue} is exclusive to another transport")
            queue.subscriptions.append(subscription)
            self._hand_out(queue)

    def unsubscribe(self, subscription: Subscription) -> None:
        """Hand out nothing more; what was handed out may still be settled."""
        with self._lock:
            queue = self._queues.get(subscription.queue)
            if queue is not None and subscription in queue.subscriptions:
                queue.subscriptions.remove(subscription)
                self._hand_out(queue)

    def subscribed(self, subscription: Subscription) -> bool:
        """Whether the queue still serves this subscription."""
        with self._lock:
            queue = self._queues.get(subscription.queue)
            return queue is not None and subscription in queue.subscriptions

    def give_back(self, subscription: Subscription) -> None:
        """Put everything that a subscription has not settled back into its queue, as a lost connection does."""
        with self._lock:
            self.unsubscribe(subscription)
            for message in list(subscription.unsettled.values()):
                self.settle(subscription, message, Settlement.REQUEUE)

    def settle(self, subscription: Subscription, message: StoredMessage, settlement: Settlement) -> None:
        """Take a consumer's word; does nothing for a message that the subscription does not hold (any more)."""
        with self._lock:
            queue = self._queues.get(subscription.queue)
            if subscription.unsettled.pop(message.sequence, None) is None or queue is None:
                return
            limit = queue.spec.delivery_limit
            if settlement is Settlement.REJECT:
                self._dead_letter(queue, message, "rejected")
            elif settlement is Settlement.REQUEUE and limit is not None and message.deliveries > limit:
                self._dead_letter(queue, message, "delivery_limit")
            elif settlement is Settlement.REQUEUE:
                queue.put(message)
            self._hand_out(queue)

    def _declare_exchange(self, spec: Exchange) -> None:
        existing = self._exchanges.get(spec.name)
        if existing is None:
            self._exchanges[spec.name] = StoredExchange(spec)
        elif existing.spec != spec:
            raise TopologyMismatch(f"exchange {spec.name} exists as {existing.spec.kind.value}, not {spec.kind.value}")

    def _declare_queue(self, spec: Queue, party: object) -> None:
        existing = self._queues.get(spec.name)
        if existing is None:
            self._queues[spec.name] = StoredQueue(spec, owner=party if spec.exclusive else None)
            return
        if existing.owner is not None and existing.owner is not party:
            raise TopologyMismatch(f"queue {spec.name} is exclusive to another transport")
        for name in _FIXED:
            found, wanted = getattr(existing.spec, name), getattr(spec, name)
            if found != wanted:
                raise TopologyMismatch(f"queue {spec.name} exists with {name}={found!r}, not {wanted!r}")
        existing.spec = spec

    def _bind(self, binding: Binding) -> None:
        exchange = self._exchanges.get(binding.exchange)
        if exchange is None or binding.queue not in self._queues:
            what = f"exchange {binding.exchange}" if exchange is None else f"queue {binding.queue}"
            raise TopologyMismatch(f"{what} is missing and cannot be bound")
        exchange.bind(binding)

    def _route(self, exchange: str, routing_key: str) -> Optional[list[StoredQueue]]:
        """Return the queues that a message reaches; None if there is no such exchange."""
        if not exchange:  # the default exchange: every queue is bound to it by its name
            return [self._queues[routing_key]] if routing_key in self._queues else []
        found = self._exchanges.get(exchange)
        return None if found is None else [self._queues[name] for name in found.route(routing_key)]

    def _enqueue(
        self,
        queue: StoredQueue,
        content: Outgoing,
        *,
        exchange: str,
        routing_key: str,
        dead_letter: Optional[DeadLetter] = None,
    ) -> bool:
        """Add a message to a queue and hand it out; False if the queue refuses it."""
        self._expire_head(queue)
        if queue.full:
            if queue.spec.overflow == "reject-publish":
                return False
            self._dead_letter(queue, queue.take(), "maxlen")
        lifetimes = [s for s in (content.expires_seconds, queue.spec.message_ttl_seconds) if s is not None]
        message = StoredMessage(
            sequence=next(self._sequence),
            content=content,
            exchange=exchange,
            routing_key=routing_key,
            expires_at=self._clock() + min(lifetimes) if lifetimes else None,
            dead_letter=dead_letter,
        )
        queue.put(message)
        self._hand_out(queue)
        return True

    def _hand_out(self, queue: StoredQueue) -> None:
        self._expire_head(queue)
        while len(queue) and (subscription := queue.next_subscription()):
            message = queue.take()
            message.deliveries += 1
            subscription.unsettled[message.sequence] = message
            subscription.deliver(message)
            self._expire_head(queue)
        if queue.head_expires_at is not None and self._parties:
            self._expiry.wake_at(queue.head_expires_at)

    def _expire_head(self, queue: StoredQueue) -> None:
        if queue.head_expires_at is not None:
            for message in queue.take_expired(self._clock()):
                self._dead_letter(queue, message, "expired")

    def _expire(self) -> Optional[float]:
        """Dead-letter what has expired; return when the next message does."""
        for queue in list(self._queues.values()):
            self._expire_head(queue)
        return min((at for q in self._queues.values() if (at := q.head_expires_at) is not None), default=None)

    def _dead_letter(self, queue: StoredQueue, message: StoredMessage, reason: str) -> None:
        """Move a message to its queue's dead-letter exchange, with the queue's name as key; without one, drop it."""
        exchange, name = queue.spec.dead_letter_exchange, queue.spec.name
        if exchange is None:
            return
        earlier = message.dead_letter
        again = earlier is not None and (earlier.queue, earlier.reason) == (name, reason)
        letter = DeadLetter(name, reason, count=earlier.count + 1 if again and earlier else 1)
        # A dead letter does not expire a second time.
        content = replace(message.content, expires_seconds=None)
        for target in self._route(exchange, name) or []:
            self._enqueue(target, content, exchange=exchange, routing_key=name, dead_letter=letter)
