"""Reads the dispatchers' queues: decodes, and hands over to the engine's inbox. Runs on the transport's threads."""

from __future__ import annotations

import logging
from collections.abc import Callable

from outrider.dispatcher.clock import Clock
from outrider.dispatcher.foreign_text import storable_json, storable_numbers
from outrider.dispatcher.signals import (
    BrokerChanged,
    DeadLetterArrived,
    HeartbeatArrived,
    Inbox,
    Look,
    ReplyArrived,
    RequestArrived,
    ResultArrived,
    Signal,
    UpdateArrived,
)
from outrider.messaging import topology
from outrider.messaging.codec import decode
from outrider.messaging.errors import DecodeError
from outrider.messaging.messages import (
    AgentHeartbeat,
    ControlReply,
    ControlRequest,
    Message,
    OperationResult,
    OperationUpdate,
)
from outrider.messaging.transport import Consumer, Delivery, Transport

log = logging.getLogger(__name__)

#: Unsettled messages per consumer: enough for full batches, and few enough to share fairly between dispatchers.
PREFETCH = 1000


class Consumers:
    """The consumers of one dispatcher."""

    def __init__(self, transport: Transport, inbox: Inbox, clock: Clock, dispatcher_id: str) -> None:
        self._transport = transport
        self._inbox = inbox
        self._clock = clock
        self._own_queue = topology.dispatcher_queue(dispatcher_id)
        self._consumers: list[Consumer] = []

    def start(self) -> None:
        """Begin to read; results on a connection of their own, so that logs never delay them."""
        transport = self._transport
        transport.on_connection_change(lambda connected: self._inbox.put(BrokerChanged(connected)))
        self._consumers = [
            transport.consume(topology.RESULTS, self._handler(self._result), prefetch=PREFETCH, dedicated=True),
            transport.consume(topology.UPDATES, self._handler(self._update), prefetch=PREFETCH),
            transport.consume(topology.HEARTBEATS, self._handler(self._heartbeat), prefetch=PREFETCH),
            transport.consume(topology.REQUESTS, self._handler(self._request), prefetch=100),
            transport.consume(self._own_queue, self._handler(self._own), prefetch=100),
            transport.consume(topology.DEAD, self._dead_letter, prefetch=100),
        ]

    def stop(self) -> None:
        """Read no more."""
        for consumer in self._consumers:
            consumer.cancel()
        self._consumers = []

    def _handler(self, convert: Callable[[Message, Delivery], Signal | None]) -> Callable[[Delivery], None]:
        def handle(delivery: Delivery) -> None:
            try:
                message = decode(storable_json(delivery.body))
            except DecodeError as error:
                delivery.reject(str(error))
                return
            signal = convert(message, delivery)
            if signal is None:
                delivery.reject(f"a {type(message).__name__} does not belong here")
            elif not storable_numbers(message):
                delivery.reject(f"a {type(message).__name__} has numbers or names that no store takes")
            else:
                self._inbox.put(signal)

        return handle

    def _result(self, message: Message, delivery: Delivery) -> Signal | None:
        return ResultArrived(message, delivery) if isinstance(message, OperationResult) else None

    def _update(self, message: Message, delivery: Delivery) -> Signal | None:
        return UpdateArrived(message, delivery) if isinstance(message, OperationUpdate) else None

    def _heartbeat(self, message: Message, delivery: Delivery) -> Signal | None:
        if not isinstance(message, AgentHeartbeat):
            return None
        return HeartbeatArrived(message, delivery, self._clock.monotonic())

    def _request(self, message: Message, delivery: Delivery) -> Signal | None:
        return RequestArrived(message, delivery) if isinstance(message, ControlRequest) else None

    def _own(self, message: Message, delivery: Delivery) -> Signal | None:
        if isinstance(message, ControlReply):
            return ReplyArrived(message, delivery)
        if isinstance(message, ControlRequest):
            # A wake-up from another dispatcher: its kind does not matter, the store says the rest.
            delivery.ack()
            return Look()
        return None

    def _dead_letter(self, delivery: Delivery) -> None:
        self._inbox.put(DeadLetterArrived(delivery))
