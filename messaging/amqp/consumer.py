"""Taking messages from one queue: a channel with its prefetch window, resumed after each reconnection."""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from functools import partial
from itertools import takewhile
from typing import Any, Optional

import pika
from pika import spec
from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker
from pika.frame import Method

from outrider.messaging.amqp.failures import channel_failure
from outrider.messaging.amqp.link import Link
from outrider.messaging.amqp.properties import Properties
from outrider.messaging.delivery import ReceivedMessage, Settlement, run_handler
from outrider.messaging.listeners import Listeners
from outrider.messaging.transport import DeadLetter, Handler

logger = logging.getLogger(__name__)

_CANCEL_SECONDS = 5.0
_RETRY_FIRST_SECONDS = 0.5
_RETRY_LAST_SECONDS = 15.0
_CANCELLED_BY_BROKER = "the broker cancelled the consumer: its queue was deleted, or moved to another node"


class AmqpConsumer:
    """A consumer of one link. Methods without a note run in the link's thread."""

    def __init__(self, link: Link, queue: str, handler: Handler, *, prefetch: int, rejections: Listeners) -> None:
        self._link = link
        self._queue = queue
        self._handler = handler
        self._prefetch = prefetch
        self._rejections = rejections
        self._channel: Optional[Channel] = None
        self._tag: Optional[str] = None
        #: Tags of the messages that were handed out, in the broker's order.
        self._unsettled: dict[int, None] = {}
        #: What is to be said to the broker; filled from any thread.
        self._settlements: deque[tuple[Channel, int, Settlement]] = deque()
        self._attempts = 0
        self._alive = False
        self._cancelled = threading.Event()
        self._stopped = threading.Event()
        #: Ends when the broker first serves it, or with the reason why it does not; cancelled if nobody waits for it.
        self._started: Future[None] = Future()

    def __repr__(self) -> str:
        return f"<AmqpConsumer of {self._queue}: {'alive' if self._alive else 'not served'}>"

    @property
    def alive(self) -> bool:
        """Whether the broker currently serves this consumer. From any thread."""
        return self._alive

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled. From any thread."""
        return self._cancelled.is_set()

    def belongs_to(self, link: Link) -> bool:
        """Whether it takes its messages through this link. From any thread."""
        return self._link is link

    def wait_started(self, timeout_seconds: float) -> bool:
        """Wait until the broker serves it; False if that takes longer. Raises why it is refused. From any thread."""
        try:
            self._started.result(timeout_seconds)
        except FutureTimeout:
            return False
        return True

    def keep_trying(self) -> None:
        """Say that nobody waits for its start: from now on it is tried again, whatever the broker says.

        Raises why it was refused, if it was just before. From any thread.
        """
        if not self._started.cancel():
            self._started.result()

    def cancel(self, *, wait_seconds: float = _CANCEL_SECONDS) -> None:
        """Stop taking messages; deliveries already handed out may still be settled. From any thread."""
        self._cancelled.set()
        if self._link.call(self._cancel) and not self._link.in_own_thread:
            self._stopped.wait(wait_seconds)

    def link_up(self, connection: pika.SelectConnection) -> None:
        """Begin to take messages through this connection."""
        if self._cancelled.is_set() or self._channel is not None:
            return
        self._unsettled.clear()
        self._channel = connection.channel(on_open_callback=self._opened)
        self._channel.add_on_close_callback(self._closed)
        self._channel.add_on_cancel_callback(self._cancelled_by_broker)

    def link_down(self) -> None:
        """The connection is gone; what was handed out comes again."""
        self._alive = False
        self._channel = None
        self._tag = None

    def _opened(self, channel: Channel) -> None:
        if self._cancelled.is_set():
            channel.close()
            return
        channel.basic_qos(prefetch_count=self._prefetch, callback=partial(self._consume, channel))

    def _consume(self, channel: Channel, _frame: Method) -> None:
        if self._cancelled.is_set():
            channel.close()
            return
        self._tag = channel.basic_consume(self._queue, self._received, callback=self._served)

    def _served(self, _frame: Method) -> None:
        self._alive = True
        self._attempts = 0
        if self._somebody_waits():
            self._started.set_result(None)
        if self._cancelled.is_set():
            self._cancel()

    def _somebody_waits(self) -> bool:
        """Whether a caller waits for the start, who is to be told now."""
        return not self._started.done() and self._started.set_running_or_notify_cancel()

    def _received(self, channel: Channel, method: spec.Basic.Deliver, properties: Properties, body: bytes) -> None:
        self._unsettled[method.delivery_tag] = None
        headers = properties.headers or {}
        delivery = ReceivedMessage(
            body=body,
            exchange=method.exchange or "",
            routing_key=method.routing_key or "",
            headers=headers,
            message_id=properties.message_id,
            user_id=properties.user_id,
            redelivered=bool(method.redelivered),
            dead_letter=_dead_letter(headers),
            queue=self._queue,
            settle=partial(self._settle_from_any_thread, channel, method.delivery_tag),
            rejections=self._rejections,
        )
        if properties.unreadable is None:
            run_handler(self._handler, delivery)
        else:
            delivery.reject(f"its properties cannot be read: {properties.unreadable}")

    def _settle_from_any_thread(self, channel: Channel, tag: int, settlement: Settlement) -> None:
        self._settlements.append((channel, tag, settlement))
        if self._link.in_own_thread:
            self._settle()
        else:
            # The first of several calls settles for all of them.
            self._link.call(self._settle)

    def _settle(self) -> None:
        current, acked = self._channel, set()
        while self._settlements:
            channel, tag, settlement = self._settlements.popleft()
            if current is None or channel is not current or not current.is_open:
                continue  # of a connection that is gone: the broker delivers the message again
            if settlement is Settlement.ACK:
                acked.add(tag)
            else:
                current.basic_reject(tag, requeue=settlement is Settlement.REQUEUE)
                self._unsettled.pop(tag, None)
        if current is not None and acked:
            self._acknowledge(current, acked)
        self._close_if_done()

    def _acknowledge(self, channel: Channel, tags: set[int]) -> None:
        """Acknowledge with one word all before the first message that is still worked on, and others one by one.

        A quorum queue writes each word to its log.
        """
        together = list(takewhile(tags.__contains__, self._unsettled))
        if together:
            channel.basic_ack(together[-1], multiple=True)
        for tag in sorted(tags.difference(together)):
            channel.basic_ack(tag)
        for tag in tags:
            self._unsettled.pop(tag, None)

    def _cancel(self) -> None:
        channel = self._channel
        if channel is None or not channel.is_open:
            self._stopped.set()
        elif self._tag is not None and self._alive:
            self._alive = False
            channel.basic_cancel(self._tag, callback=self._on_cancel_ok)

    def _on_cancel_ok(self, _frame: Method) -> None:
        self._stopped.set()
        self._tag = None
        self._close_if_done()

    def _close_if_done(self) -> None:
        """Close a cancelled consumer's channel with its last settlement: closing earlier would give deliveries back."""
        channel = self._channel
        if self._stopped.is_set() and not self._unsettled and channel is not None and channel.is_open:
            channel.close()

    def _cancelled_by_broker(self, _frame: Method) -> None:
        """The queue was deleted, or moved to another node."""
        self._alive = False
        if self._channel is not None and self._channel.is_open:
            self._channel.close(reply_text=_CANCELLED_BY_BROKER)

    def _closed(self, channel: Channel, reason: BaseException) -> None:
        if channel is not self._channel:
            return
        self.link_down()
        self._stopped.set()
        if self._cancelled.is_set():
            return
        error = channel_failure(reason, what=f"consume queue {self._queue}")
        if isinstance(reason, ChannelClosedByBroker) and self._somebody_waits():
            self._cancelled.set()  # the caller is told, and has no consumer
            self._started.set_exception(error)
            return
        self._stopped.clear()
        self._retry(error)

    def _retry(self, error: Exception) -> None:
        delay = min(_RETRY_FIRST_SECONDS * 2 ** min(self._attempts, 8), _RETRY_LAST_SECONDS)
        delay *= random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        self._attempts += 1
        logger.warning(
            "consumer of queue %s is not served (%s); next attempt in %.1f s",
            self._queue,
            error,
            delay,
            extra={"action": "consumer_lost", "queue": self._queue},
        )
        self._link.call_later(delay, self._resume)

    def _resume(self) -> None:
        connection = self._link.connection
        if connection is not None:
            self.link_up(connection)  # else the link's return does it


def _dead_letter(headers: Mapping[str, Any]) -> Optional[DeadLetter]:
    """Return the latest death that RabbitMQ recorded in the header ``x-death``, newest first."""
    deaths = headers.get("x-death")
    if not isinstance(deaths, list) or not deaths or not isinstance(deaths[0], Mapping):
        return None
    latest = deaths[0]
    count = latest.get("count")
    # Whoever publishes may write this header, too: nothing is said of its values.
    return DeadLetter(
        str(latest.get("queue", "")), str(latest.get("reason", "")), count if isinstance(count, int) else 1
    )
