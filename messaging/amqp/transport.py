"""The AMQP transport: links, publisher and consumers composed to fulfil `outrider.messaging.transport.Transport`."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from functools import partial
from typing import Callable, Optional, TypeVar

import pika
from pika.channel import Channel

from outrider.messaging.amqp import requests
from outrider.messaging.amqp.consumer import AmqpConsumer
from outrider.messaging.amqp.link import Link
from outrider.messaging.amqp.policies import policies_for
from outrider.messaging.amqp.publisher import Publisher
from outrider.messaging.amqp.requests import ChannelRequest, Steps
from outrider.messaging.amqp.settings import AmqpSettings
from outrider.messaging.errors import ConnectFailed, TopologyMismatch, TransportClosed, TransportError
from outrider.messaging.listeners import Listeners
from outrider.messaging.transport import Confirmation, Delivery, Handler, Outgoing, Topology

logger = logging.getLogger(__name__)

T = TypeVar("T")


class AmqpTransport:
    """Connects in the background from the start, and comes back by itself until `close`."""

    def __init__(self, settings: AmqpSettings) -> None:
        _ = settings.tls_context  # unusable TLS files are the caller's error, not the background's
        self._settings = settings
        self._lock = threading.Lock()
        self._closed = False
        self._declared: list[Topology] = []
        self._consumers: list[AmqpConsumer] = []
        self._dedicated: list[Link] = []
        self._connection_listeners = Listeners()
        self._rejections = Listeners()
        self._ready: set[str] = set()
        self._was_connected = False
        account = settings.addresses[0].username if settings.user_id else None
        self._publisher = Publisher(user_id=lambda: account)
        self._publishing = Link(settings, "publish", on_up=self._publishing_up, on_down=self._publishing_down)
        self._consuming = Link(settings, "consume", on_up=self._consuming_up, on_down=self._consuming_down)
        self._publishing.start()
        self._consuming.start()

    def __repr__(self) -> str:
        return f"<AmqpTransport {self._settings}: {'connected' if self.connected else 'not connected'}>"

    @property
    def connected(self) -> bool:
        """Whether the broker is reachable now, for publishing and for consuming."""
        return self._was_connected

    def wait_connected(self, timeout_seconds: float) -> None:
        """Wait for the broker; raises `ConnectFailed` with each address and its reason, at once if it refuses us."""
        deadline = time.monotonic() + timeout_seconds
        for link in (self._publishing, self._consuming):
            link.wait_up(max(0.0, deadline - time.monotonic()), fail_if_refused=True)

    def on_connection_change(self, listener: Callable[[bool], None]) -> None:
        """Call `listener(connected)` at each loss and each return of the connection."""
        self._connection_listeners.add(listener)

    def on_rejection(self, listener: Callable[[Delivery, str], None]) -> None:
        """Call `listener(delivery, reason)` for each message that a consumer of this transport rejects."""
        self._rejections.add(listener)

    def declare(self, topology: Topology) -> None:
        """Make sure that everything of `topology` exists, also after a reconnection.

        Where a management URL is configured, the policies are set first; else the operator has set them.
        """
        self._require_open()
        if self._settings.management_url is not None:
            # Agents never get here, and its HTTP libraries would be a tenth of their memory.
            from outrider.messaging.amqp.management import ManagementClient

            management = ManagementClient(self._settings.management_url, tls_context=self._settings.tls_context)
            for policy in policies_for(topology):
                management.declare_policy(self._settings.vhost, policy)
        self._request(partial(requests.declare, topology), what="declare queues and exchanges")
        with self._lock:
            if topology not in self._declared:
                self._declared.append(topology)

    def check(self, topology: Topology) -> None:
        """Check passively that the queues and exchanges exist; raises `TopologyMismatch` with all that are missing."""
        wanted = [(f"exchange {e.name}", partial(requests.check_exchange, e.name)) for e in topology.exchanges]
        wanted += [(f"queue {q.name}", partial(requests.check_queue, q.name)) for q in topology.queues]
        missing = [what for what, steps in wanted if not self._exists(steps, what=f"check {what}")]
        if missing:
            raise TopologyMismatch(f"missing in {self._settings.addresses[0]}: {', '.join(missing)}")

    def delete_queue(self, name: str) -> None:
        """Delete a queue with what is in it, and declare it no more."""
        with self._lock:
            left = (topology.without_queue(name) for topology in self._declared)
            self._declared = [topology for topology in left if topology != Topology()]
        self._request(partial(requests.delete_queue, name), what=f"delete queue {name}")

    def queue_depth(self, name: str) -> Optional[int]:
        """Return how many messages wait in the queue; None if it does not exist."""
        try:
            return self._request(partial(requests.queue_depth, name), what=f"look at queue {name}")
        except TopologyMismatch:
            return None

    def publish(self, message: Outgoing) -> Future[Confirmation]:
        """Publish; the future gets what became of the message, UNKNOWN while the broker is away."""
        future: Future[Confirmation] = Future()
        future.set_running_or_notify_cancel()  # what is on its way cannot be cancelled
        if self._closed or not self._publishing.call(partial(self._publisher.publish, message, future)):
            future.set_exception(TransportClosed(f"the transport {self._settings.name} is closed"))
        return future

    def consume(self, queue: str, handler: Handler, *, prefetch: int, dedicated: bool = False) -> AmqpConsumer:
        """Deliver the queue's messages to `handler`; returns when the broker serves it, or at once if it is away."""
        self._require_open()
        link = self._dedicated_link(queue) if dedicated else self._consuming
        consumer = AmqpConsumer(link, queue, handler, prefetch=prefetch, rejections=self._rejections)
        with self._lock:
            self._consumers = [other for other in self._consumers if not other.cancelled]
            self._consumers.append(consumer)
        if dedicated:
            link.start()
        else:
            link.call(lambda: consumer.link_up(link.connection) if link.connection else None)
        try:
            self._await_start(consumer, link, may_wait=dedicated or link.up)
        except TransportError:
            if dedicated:
                link.stop(timeout_seconds=1.0)
                self._forget_link(link)
            raise
        return consumer

    def close(self, *, timeout_seconds: float = 5.0) -> None:
        """End consumers, wait for confirmations under way up to the limit, close. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            consumers, dedicated = list(self._consumers), list(self._dedicated)
        deadline = time.monotonic() + timeout_seconds
        for consumer in consumers:
            if consumer.alive and time.monotonic() < deadline:
                consumer.cancel(wait_seconds=deadline - time.monotonic())
        idle = threading.Event()
        if self._publishing.call(lambda: self._publisher.when_idle(idle.set)):
            idle.wait(max(0.0, deadline - time.monotonic()))
        for link in (*dedicated, self._consuming, self._publishing):
            link.stop(timeout_seconds=max(0.2, deadline - time.monotonic()))

    def _require_open(self) -> None:
        if self._closed:
            raise TransportClosed(f"the transport {self._settings.name} is closed")

    def _exists(self, steps: Callable[[Channel], Steps[object]], *, what: str) -> bool:
        try:
            self._request(steps, what=what)
        except TopologyMismatch:
            return False
        return True

    def _request(self, steps: Callable[[Channel], Steps[T]], *, what: str) -> T:
        """Run steps in the consuming link's thread and wait for their end."""
        self._require_open()
        link = self._consuming
        if link.in_own_thread:
            raise TransportError(f"{what}: handlers and listeners must not wait for the broker; use another thread")
        deadline = time.monotonic() + self._settings.request_timeout_seconds
        link.wait_up(self._settings.request_timeout_seconds)
        request = ChannelRequest(steps, what=what)

        def run() -> None:
            if link.connection is None:
                request.future.set_exception(ConnectFailed(f"{what}: the connection was lost"))
            else:
                request.run(link.connection)

        if not link.call(run):
            raise TransportClosed(f"the transport {self._settings.name} is closed")
        try:
            return request.future.result(max(0.1, deadline - time.monotonic()))
        except FutureTimeout:
            limit = self._settings.request_timeout_seconds
            raise ConnectFailed(f"{what}: no answer from the broker in {limit:g} s") from None

    def _await_start(self, consumer: AmqpConsumer, link: Link, *, may_wait: bool) -> None:
        """Wait until the consumer is served; where the broker is away, it starts when the broker is back."""
        if may_wait and self.connected and not link.in_own_thread:
            if consumer.wait_started(self._settings.request_timeout_seconds):
                return
            logger.warning("%r: the broker does not answer yet", consumer, extra={"action": "consumer_waits"})
        consumer.keep_trying()

    def _dedicated_link(self, queue: str) -> Link:
        def up(connection: pika.SelectConnection) -> None:
            for consumer in self._consumers_of(link):
                consumer.link_up(connection)

        def down() -> None:
            for consumer in self._consumers_of(link):
                consumer.link_down()

        link = Link(self._settings, f"consume {queue}", on_up=up, on_down=down)
        with self._lock:
            self._dedicated.append(link)
        return link

    def _forget_link(self, link: Link) -> None:
        with self._lock:
            self._dedicated.remove(link)

    def _consumers_of(self, link: Link) -> list[AmqpConsumer]:
        with self._lock:
            return [consumer for consumer in self._consumers if consumer.belongs_to(link)]

    def _publishing_up(self, connection: pika.SelectConnection) -> None:
        self._publisher.link_up(connection)
        self._report("publish", up=True)

    def _publishing_down(self) -> None:
        self._publisher.link_down()
        self._report("publish", up=False)

    def _consuming_up(self, connection: pika.SelectConnection) -> None:
        """Declare again what was declared (a broker may come back empty, exclusive queues are gone), then consume."""
        with self._lock:
            declared = iter(list(self._declared))
        self._declare_again(connection, declared)

    def _declare_again(self, connection: pika.SelectConnection, left: Iterator[Topology]) -> None:
        """Declare one topology after the other: one may bind to another's exchanges, and none depends on its success.

        A shared queue whose node is down must not cost a dispatcher its own one, in which it gets its answers.
        """
        if not connection.is_open:
            return
        topology = next(left, None)
        if topology is None:
            self._serve_again(connection)
            return
        request = ChannelRequest(partial(requests.declare, topology), what="declare again after a reconnection")
        request.future.add_done_callback(partial(self._declared_again, connection, left))
        request.run(connection)

    def _declared_again(
        self, connection: pika.SelectConnection, left: Iterator[Topology], future: Future[None]
    ) -> None:
        error = future.exception()
        if error is not None:
            # Consumers of other queues must go on; those of a missing one report themselves.
            logger.error("%s", error, extra={"action": "redeclare_failed"})
        self._declare_again(connection, left)

    def _serve_again(self, connection: pika.SelectConnection) -> None:
        for consumer in self._consumers_of(self._consuming):
            consumer.link_up(connection)
        self._report("consume", up=True)

    def _consuming_down(self) -> None:
        for consumer in self._consumers_of(self._consuming):
            consumer.link_down()
        self._report("consume", up=False)

    def _report(self, purpose: str, *, up: bool) -> None:
        with self._lock:
            if up:
                self._ready.add(purpose)
            else:
                self._ready.discard(purpose)
            both = 2
            connected = len(self._ready) == both
            changed, self._was_connected = connected != self._was_connected, connected
        if changed:
            self._connection_listeners.call(connected)
