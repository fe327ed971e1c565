"""A received message, as both transports hand it to consumers; and what becomes of it.

`decode_or_reject` is the first line of every consumer: what does not decode goes to the dead-letter exchange, and the
reason is logged and reported.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Callable, Optional

from outrider.messaging.codec import decode
from outrider.messaging.errors import DecodeError
from outrider.messaging.listeners import Listeners
from outrider.messaging.messages import Message
from outrider.messaging.transport import DeadLetter, Delivery, Handler

logger = logging.getLogger(__name__)


class Settlement(Enum):
    """What a consumer says about a delivery."""

    ACK = "ack"
    REQUEUE = "requeue"
    REJECT = "reject"


@dataclass(frozen=True)
class ReceivedMessage:
    """A `Delivery`: the message's values, and how to settle it, once."""

    body: bytes
    exchange: str
    routing_key: str
    headers: Mapping[str, Any]
    message_id: Optional[str]
    user_id: Optional[str]
    redelivered: bool
    dead_letter: Optional[DeadLetter]
    #: The queue that it was taken from.
    queue: str
    #: Tells the broker; does nothing where the connection that brought the message is gone.
    settle: Callable[[Settlement], None] = field(repr=False)
    rejections: Listeners = field(repr=False)
    #: Empty once settled: taking its only element is atomic, so that of two threads one settles.
    _open: list[bool] = field(default_factory=lambda: [True], repr=False)

    def ack(self) -> None:
        """Say that it is taken care of."""
        self._settle_once(Settlement.ACK)

    def requeue(self) -> None:
        """Give it back."""
        self._settle_once(Settlement.REQUEUE)

    def reject(self, reason: str) -> None:
        """Send it to the dead-letter exchange; log and report the reason."""
        if not self._settle_once(Settlement.REJECT):
            return
        logger.warning(
            "rejected a message of queue %s (routing key %s): %s",
            self.queue,
            self.routing_key,
            reason,
            extra={"action": "message_rejected", "queue": self.queue, "reason": reason},
        )
        self.rejections.call(self, reason)

    def _settle_once(self, settlement: Settlement) -> bool:
        try:
            self._open.pop()
        except IndexError:
            # A second settlement would make a broker close the channel, and every delivery on it would come again.
            logger.debug("a message of queue %s is settled already", self.queue, extra={"action": "settled_twice"})
            return False
        self.settle(settlement)
        return True


def decode_or_reject(delivery: Delivery) -> Optional[Message]:
    """Return the message of a delivery; if it is not one of ours, reject it with the reason and return None."""
    try:
        return decode(delivery.body)
    except DecodeError as error:
        delivery.reject(str(error))
        return None


def run_handler(handler: Handler, delivery: Delivery) -> None:
    """Run a consumer's handler (for transports); a delivery whose handler raises is rejected."""
    try:
        handler(delivery)
    except Exception as error:
        # Whatever a handler raises must not end the transport's thread. Left unsettled, the delivery would fill the
        # prefetch window; given back, it would return for ever; as a dead letter it is kept and seen.
        logger.exception(
            "the handler of a message with routing key %s failed",
            delivery.routing_key,
            extra={"action": "handler_failed", "routing_key": delivery.routing_key},
        )
        delivery.reject(f"its handler failed: {type(error).__name__}: {error}")
