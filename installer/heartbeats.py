"""Waiting for an agent to report: the last step of an installation, and the first half of an upgrade's health gate."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Optional, Protocol, Union

from outrider.installer.errors import NoHeartbeat
from outrider.messaging.codec import decode
from outrider.messaging.errors import DecodeError
from outrider.messaging.messages import AgentHeartbeat
from outrider.messaging.topology import HEARTBEATS
from outrider.messaging.transport import Binding, Delivery, Queue, Topology, Transport

logger = logging.getLogger(__name__)

Accept = Callable[[AgentHeartbeat], bool]


class UpToNow(Enum):
    """Stands for the last heartbeat that was heard when it is asked."""

    UP_TO_NOW = "up to now"


UP_TO_NOW = UpToNow.UP_TO_NOW
#: A heartbeat that was heard, or None if none was.
Known = Union[AgentHeartbeat, UpToNow, None]


class HeartbeatWaiter(Protocol):
    """Whoever hears heartbeats."""

    def latest(self, agent_id: str) -> Optional[AgentHeartbeat]:
        """Return the last heartbeat of an agent that was heard, if any."""

    def wait(
        self, agent_id: str, accept: Accept, timeout_seconds: float, *, known: Known = UP_TO_NOW
    ) -> AgentHeartbeat:
        """Return the first heartbeat after `known` that `accept` takes; raises `NoHeartbeat`.

        `known` is what `latest` returned at a moment before; without it, heartbeats from now on count.
        """


class BrokerHeartbeats:
    """Hears all agents' heartbeats on a queue of its own, beside the dispatchers."""

    def __init__(self, transport: Transport) -> None:
        self._heard: dict[str, AgentHeartbeat] = {}
        self._changed = threading.Condition()
        self._queue = f"outrider.installer.{uuid.uuid4().hex}"
        self._transport = transport
        topology = Topology(
            queues=(Queue(self._queue, exclusive=True),), bindings=(Binding(HEARTBEATS, self._queue, "#"),)
        )
        transport.declare(topology)
        self._consumer = transport.consume(self._queue, self._take, prefetch=100)

    def latest(self, agent_id: str) -> Optional[AgentHeartbeat]:
        """Return the last heartbeat of an agent that was heard."""
        with self._changed:
            return self._heard.get(agent_id)

    def wait(
        self, agent_id: str, accept: Accept, timeout_seconds: float, *, known: Known = UP_TO_NOW
    ) -> AgentHeartbeat:
        """Return the first heartbeat after `known` that `accept` takes."""
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            seen = self._heard.get(agent_id) if isinstance(known, UpToNow) else known
            while True:
                found = self._heard.get(agent_id)
                if found is not None and found is not seen and accept(found):
                    return found
                left = deadline - time.monotonic()
                if left <= 0:
                    raise NoHeartbeat(
                        f"agent {agent_id} runs, and no heartbeat of it arrived within {timeout_seconds:g} s",
                        remedy="mend what the agent's log says (outrider agent logs --ssh HOST), and run this again",
                    )
                self._changed.wait(left)

    def close(self) -> None:
        """Stop listening."""
        self._consumer.cancel()
        self._transport.delete_queue(self._queue)

    def _take(self, delivery: Delivery) -> None:
        try:
            message = decode(delivery.body)
        except DecodeError:
            logger.warning("a heartbeat that is none", extra={"action": "installer.heartbeat.bad"})
            delivery.ack()  # our copy only: the dispatchers report theirs
            return
        delivery.ack()
        if isinstance(message, AgentHeartbeat):
            with self._changed:
                self._heard[message.agent_id] = message
                self._changed.notify_all()


@contextmanager
def broker_heartbeats(transport: Transport) -> Iterator[BrokerHeartbeats]:
    """Yield a listener that is closed with the block."""
    listener = BrokerHeartbeats(transport)
    try:
        yield listener
    finally:
        listener.close()
