"""Publishing with pipelined confirms: many messages under way, each with a future that learns what became of it.

All in the link's thread. A lane is a channel in confirm mode: the broker numbers what it got there, and its answers
name a number, or every number up to one.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from concurrent.futures import Future
from typing import Callable, Optional

import pika
from pika import spec
from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker
from pika.frame import Method

from outrider.messaging.transport import Confirmation, Outgoing

logger = logging.getLogger(__name__)

_DURABLE = 2
_TRANSIENT = 1
#: In the text with which the broker closes a channel on which more came than its ``max_message_size``.
_LARGEST = re.compile(r"message size \d+ is larger than configured max size (\d+)")


class Publisher:
    """The lanes of one link."""

    def __init__(self, *, user_id: Callable[[], Optional[str]]) -> None:
        self._user_id = user_id
        self._connection: Optional[pika.SelectConnection] = None
        self._lanes: dict[str, _Lane] = {}
        #: Bytes of a message's body that the broker takes, once it has said so.
        self._largest: Optional[int] = None
        self._when_idle: Optional[Callable[[], None]] = None

    def link_up(self, connection: pika.SelectConnection) -> None:
        """Publish through this connection from now on."""
        self._connection = connection
        self._largest = None

    def link_down(self) -> None:
        """The connection is gone: nobody knows what became of what was under way."""
        self._connection = None
        lanes, self._lanes = self._lanes, {}
        for lane in lanes.values():
            lane.abandon()
        self._note_progress()

    def publish(self, message: Outgoing, future: Future[Confirmation]) -> None:
        """Send a message; the future gets its confirmation."""
        if self._connection is None or not self._connection.is_open:
            future.set_result(Confirmation.UNKNOWN)
            return
        if self._largest is not None and len(message.body) > self._largest:
            # Published again and again, it would cost every message of its lane the channel, again and again.
            logger.warning(
                "a message for %s is too large: %d bytes; the broker's max_message_size is %d",
                message.routing_key,
                len(message.body),
                self._largest,
                extra={"action": "message_too_large", "key": message.routing_key},
            )
            future.set_result(Confirmation.TOO_LARGE)
            return
        lane = self._lanes.get(message.lane)
        if lane is None or lane.closed:
            lane = _Lane(message.lane, self._connection, on_progress=self._note_progress, on_refusal=self._note_refusal)
            self._lanes[message.lane] = lane
        lane.publish(message, self._properties(message), future)

    def when_idle(self, function: Callable[[], None]) -> None:
        """Call `function` as soon as nothing is under way."""
        self._when_idle = function
        self._note_progress()

    def _note_progress(self) -> None:
        if self._when_idle is not None and all(lane.idle for lane in self._lanes.values()):
            function, self._when_idle = self._when_idle, None
            function()

    def _note_refusal(self, text: str) -> None:
        if found := _LARGEST.search(text):
            self._largest = int(found[1])

    def _properties(self, message: Outgoing) -> pika.BasicProperties:
        expires = message.expires_seconds
        return pika.BasicProperties(
            content_type="application/json",
            delivery_mode=_DURABLE if message.persistent else _TRANSIENT,
            expiration=None if expires is None else str(max(0, round(expires * 1000))),
            message_id=message.message_id,
            user_id=self._user_id(),
            headers=dict(message.headers) or None,
        )


class _Lane:
    """A channel in confirm mode, with what waits for its answers."""

    def __init__(
        self,
        name: str,
        connection: pika.SelectConnection,
        *,
        on_progress: Callable[[], None],
        on_refusal: Callable[[str], None],
    ) -> None:
        self._name = name
        self._on_progress = on_progress
        self._on_refusal = on_refusal
        self._waiting: deque[tuple[Outgoing, pika.BasicProperties, Future[Confirmation]]] = deque()
        #: By delivery tag, in rising order.
        self._pending: dict[int, Future[Confirmation]] = {}
        self._returned: set[int] = set()
        self._last_tag = 0
        self._ready = False
        self.closed = False
        self._channel: Channel = connection.channel(on_open_callback=self._opened)
        self._channel.add_on_close_callback(self._on_closed)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._pending and not self._waiting

    def publish(self, message: Outgoing, properties: pika.BasicProperties, future: Future[Confirmation]) -> None:
        """Send a message, or keep it until the channel is open."""
        if not self._ready:
            self._waiting.append((message, properties, future))
            return
        tag = self._last_tag + 1
        if message.mandatory:
            properties.correlation_id = str(tag)  # a return names no delivery tag
        try:
            self._channel.basic_publish(
                message.exchange, message.routing_key, message.body, properties, mandatory=message.mandatory
            )
        except Exception:
            # pika refuses bad keys and headers in many ways; one message's defect must not cost the others.
            logger.exception("a message could not be written", extra={"action": "publish_failed"})
            future.set_result(Confirmation.UNKNOWN)
            return
        self._last_tag = tag
        self._pending[tag] = future

    def abandon(self) -> None:
        """Give up what is under way: its fate is not known."""
        self.closed = True
        self._ready = False
        futures = [*self._pending.values(), *(future for _, _, future in self._waiting)]
        self._pending.clear()
        self._waiting.clear()
        for future in futures:
            future.set_result(Confirmation.UNKNOWN)

    def _opened(self, channel: Channel) -> None:
        channel.add_on_return_callback(self._on_returned)
        channel.confirm_delivery(self._on_confirmed, callback=self._on_confirm_mode)

    def _on_confirm_mode(self, _frame: Method) -> None:
        self._ready = True
        while self._waiting:
            self.publish(*self._waiting.popleft())
        self._on_progress()

    def _on_returned(
        self, _channel: Channel, method: spec.Basic.Return, properties: pika.BasicProperties, _body: bytes
    ) -> None:
        # The broker sends the return before the confirmation of the same message.
        if properties.correlation_id:
            self._returned.add(int(properties.correlation_id))
        logger.debug("returned: %s", method.reply_text, extra={"action": "returned", "key": method.routing_key})

    def _on_confirmed(self, frame: Method) -> None:
        method = frame.method
        outcome = Confirmation.CONFIRMED if isinstance(method, spec.Basic.Ack) else Confirmation.NACKED
        if method.multiple:
            tags = []
            for tag in self._pending:
                if tag > method.delivery_tag:
                    break
                tags.append(tag)
        else:
            tags = [method.delivery_tag]
        for tag in tags:
            future = self._pending.pop(tag, None)
            if future is not None:
                returned = tag in self._returned
                self._returned.discard(tag)
                future.set_result(Confirmation.RETURNED if returned else outcome)
        if not self._pending:
            self._on_progress()

    def _on_closed(self, _channel: Channel, reason: BaseException) -> None:
        if isinstance(reason, ChannelClosedByBroker):  # such as a missing exchange or permission, which it names
            logger.warning(
                "the broker closed publishing lane %s; messages under way are unknown: %s",
                self._name,
                reason,
                extra={"action": "lane_closed", "lane": self._name},
            )
            self._on_refusal(reason.reply_text)
        self.abandon()
        self._on_progress()
