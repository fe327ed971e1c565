"""The embedded transport: one party's access to the embedded broker, with a thread per consumer."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Callable, Optional

from outrider.messaging.delivery import ReceivedMessage, Settlement, run_handler
from outrider.messaging.embedded.core import BrokerCore
from outrider.messaging.embedded.queue import StoredMessage, Subscription
from outrider.messaging.errors import ConnectFailed, TopologyMismatch, TransportClosed, TransportError
from outrider.messaging.listeners import Listeners
from outrider.messaging.transport import Confirmation, Delivery, Handler, Outgoing, Topology

logger = logging.getLogger(__name__)


class EmbeddedTransport:
    """Fulfils `outrider.messaging.transport.Transport` inside the process."""

    def __init__(self, broker: BrokerCore) -> None:
        self._broker = broker
        self._closed = False
        self._lock = threading.Lock()
        self._consumers: list[EmbeddedConsumer] = []
        self._declared: list[Topology] = []
        self._connection_listeners = Listeners()
        self._rejections = Listeners()
        broker.attach(self._on_availability)

    def __repr__(self) -> str:
        return f"<EmbeddedTransport {'closed' if self._closed else 'open'}>"

    @property
    def connected(self) -> bool:
        """Whether the broker is reachable now."""
        return self._broker.available and not self._closed

    def on_connection_change(self, listener: Callable[[bool], None]) -> None:
        """Call `listener(connected)` at each interruption of the broker and its end."""
        self._connection_listeners.add(listener)

    def on_rejection(self, listener: Callable[[Delivery, str], None]) -> None:
        """Call `listener(delivery, reason)` for each message that a consumer of this transport rejects."""
        self._rejections.add(listener)

    def declare(self, topology: Topology) -> None:
        """Make sure that everything of `topology` exists, also after an interruption."""
        self._require_broker()
        self._broker.declare(topology, party=self)
        with self._lock:
            if topology not in self._declared:
                self._declared.append(topology)

    def check(self, topology: Topology) -> None:
        """Check that the queues and exchanges exist."""
        self._require_broker()
        self._broker.check(topology)

    def delete_queue(self, name: str) -> None:
        """Delete a queue with what is in it, and declare it no more."""
        self._require_broker()
        with self._lock:
            left = (topology.without_queue(name) for topology in self._declared)
            self._declared = [topology for topology in left if topology != Topology()]
        self._broker.delete_queue(name)

    def queue_depth(self, name: str) -> Optional[int]:
        """Return how many messages wait in the queue; None if it does not exist."""
        self._require_broker()
        return self._broker.depth(name)

    def publish(self, message: Outgoing) -> Future[Confirmation]:
        """Publish; the future has its result when this returns."""
        future: Future[Confirmation] = Future()
        if self._closed:
            future.set_exception(TransportClosed("the embedded transport is closed"))
        else:
            future.set_result(self._broker.publish(message))
        return future

    def consume(self, queue: str, handler: Handler, *, prefetch: int, dedicated: bool = False) -> EmbeddedConsumer:
        """Deliver the queue's messages to `handler`; every consumer has a thread of its own, so all are `dedicated`."""
        del dedicated
        if self._closed:
            raise TransportClosed("the embedded transport is closed")
        consumer = EmbeddedConsumer(self._broker, queue, handler, prefetch=prefetch, rejections=self._rejections)
        if self._broker.available:
            consumer.subscribe(party=self)
        with self._lock:
            self._consumers = [c for c in self._consumers if not c.done]
            self._consumers.append(consumer)
        consumer.start()
        return consumer

    def close(self, *, timeout_seconds: float = 5.0) -> None:
        """End consumers; what they have not settled goes back to its queue. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            consumers = list(self._consumers)
        deadline = time.monotonic() + timeout_seconds
        for consumer in consumers:
            consumer.stop(timeout_seconds=max(0.0, deadline - time.monotonic()))
        for consumer in consumers:
            consumer.give_back()
        self._broker.detach(self, self._on_availability)

    def _require_broker(self) -> None:
        if self._closed:
            raise TransportClosed("the embedded transport is closed")
        if not self._broker.available:
            raise ConnectFailed("the embedded broker is interrupted")

    def _on_availability(self, available: bool) -> None:  # noqa: FBT001 - a connection listener
        if self._closed:
            return
        with self._lock:
            consumers, declared = list(self._consumers), list(self._declared)
        if available:
            for topology in declared:
                try:
                    self._broker.declare(topology, party=self)
                except TransportError as error:
                    # None depends on another's success; consumers of what is missing report themselves.
                    logger.error("%s", error, extra={"action": "redeclare_failed"})  # noqa: TRY400 - the text says all
            for consumer in consumers:
                consumer.resubscribe(party=self)
        else:
            for consumer in consumers:
                consumer.give_back()
            self._broker.delete_exclusive_queues(self)
        self._connection_listeners.call(available)


class EmbeddedConsumer:
    """A consumer: its subscription at the broker and the thread that runs the handler."""

    def __init__(
        self, broker: BrokerCore, queue: str, handler: Handler, *, prefetch: int, rejections: Listeners
    ) -> None:
        self._broker = broker
        self._handler = handler
        self._rejections = rejections
        self._inbox: SimpleQueue[Optional[tuple[Subscription, StoredMessage]]] = SimpleQueue()
        self._cancelled = threading.Event()
        self._queue = queue
        self._prefetch = prefetch
        self._subscription = self._new_subscription()
        self._thread = threading.Thread(target=self._run, name=f"outrider-consumer-{queue}", daemon=True)

    def __repr__(self) -> str:
        return f"<EmbeddedConsumer of {self._queue}>"

    @property
    def alive(self) -> bool:
        """Whether the broker currently serves this consumer."""
        return self._thread.is_alive() and self._broker.subscribed(self._subscription)

    @property
    def done(self) -> bool:
        """Whether it is cancelled and holds nothing: nobody needs it any more."""
        return self._cancelled.is_set() and not self._subscription.unsettled

    def cancel(self) -> None:
        """Stop taking messages; deliveries already handed out may still be settled."""
        self.stop(timeout_seconds=5.0)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, *, timeout_seconds: float) -> None:
        """Cancel, and wait for the handler's current call; one that waits in the inbox goes back to the queue."""
        self._cancelled.set()
        self._broker.unsubscribe(self._subscription)
        self._inbox.put(None)
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_seconds)

    def subscribe(self, *, party: object) -> None:
        """Begin to take messages; raises `TopologyMismatch`."""
        self._broker.subscribe(self._subscription, party=party)

    def resubscribe(self, *, party: object) -> None:
        """Take messages again after an interruption; where the queue is gone the consumer stays, not alive."""
        if self._cancelled.is_set():
            return
        # A new one: what is settled through the old one is of the old connection and does nothing.
        self._subscription = self._new_subscription()
        try:
            self._broker.subscribe(self._subscription, party=party)
        except TopologyMismatch:
            return

    def give_back(self) -> None:
        """Return everything unsettled to the queue, as a lost connection does."""
        self._broker.give_back(self._subscription)

    def _new_subscription(self) -> Subscription:
        subscription = Subscription(
            self._queue, self._prefetch, deliver=lambda message: self._inbox.put((subscription, message))
        )
        return subscription

    def _run(self) -> None:
        while (item := self._inbox.get()) is not None:
            subscription, message = item
            if self._cancelled.is_set():
                self._broker.settle(subscription, message, Settlement.REQUEUE)
            elif message.sequence in subscription.unsettled:  # else it was given back by an interruption
                run_handler(self._handler, self._received(subscription, message))

    def _received(self, subscription: Subscription, message: StoredMessage) -> ReceivedMessage:
        content = message.content
        return ReceivedMessage(
            body=content.body,
            exchange=message.exchange,
            routing_key=message.routing_key,
            headers=content.headers,
            message_id=content.message_id,
            user_id=None,
            redelivered=message.deliveries > 1,
            dead_letter=message.dead_letter,
            queue=subscription.queue,
            settle=lambda settlement: self._broker.settle(subscription, message, settlement),
            rejections=self._rejections,
        )
