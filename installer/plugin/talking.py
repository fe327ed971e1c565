"""Talking to an agent over the broker, beside the dispatchers: does it answer, is it idle, has it gone."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Optional

from outrider.installer.broker import account_name
from outrider.installer.errors import NoHeartbeat
from outrider.installer.heartbeats import HeartbeatWaiter
from outrider.messaging.amqp.management import ManagementClient
from outrider.messaging.codec import decode, encode
from outrider.messaging.errors import DecodeError
from outrider.messaging.messages import AgentHeartbeat, ControlKind, ControlReply, ControlRequest
from outrider.messaging.topology import CONTROL, REPLIES
from outrider.messaging.transport import Binding, Delivery, Outgoing, Queue, Topology, Transport

_ASK_AGAIN_SECONDS = 2.0
_POLL_SECONDS = 0.5


class Questions:
    """Asks agents, and hears their answers on a queue of its own."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._id = f"installer-{uuid.uuid4().hex}"
        self._heard: dict[str, ControlReply] = {}
        self._changed = threading.Condition()
        queue = f"outrider.installer.{self._id}"
        self._topology = Topology(
            queues=(Queue(queue, exclusive=True),), bindings=(Binding(REPLIES, queue, f"*.{self._id}"),)
        )
        transport.declare(self._topology)
        self._queue = queue
        self._consumer = transport.consume(queue, self._take, prefetch=10)

    def ask(
        self,
        agent_id: str,
        kind: ControlKind,
        payload: Optional[Mapping[str, Any]] = None,
        *,
        timeout_seconds: float,
        again_seconds: float = _ASK_AGAIN_SECONDS,
    ) -> Optional[ControlReply]:
        """Return the agent's answer; None if there was none in time. It is asked anew every `again_seconds`."""
        deadline = time.monotonic() + timeout_seconds
        while (left := deadline - time.monotonic()) > 0:
            request = ControlRequest(
                uuid.uuid4().hex, kind, agent_id=agent_id, reply_to=self._id, payload=dict(payload or {})
            )
            self._transport.publish(
                Outgoing(CONTROL, agent_id, encode(request), persistent=False, expires_seconds=again_seconds)
            )
            with self._changed:
                self._changed.wait_for(lambda: request.request_id in self._heard, min(left, again_seconds))  # noqa: B023 - waited for within this round
                if request.request_id in self._heard:
                    return self._heard[request.request_id]
        return None

    def close(self) -> None:
        """Hear nothing any more."""
        self._consumer.cancel()
        self._transport.delete_queue(self._queue)

    def _take(self, delivery: Delivery) -> None:
        delivery.ack()
        try:
            message = decode(delivery.body)
        except DecodeError:
            return
        # The broker lets an agent write under its own name only: the key proves who answers.
        if isinstance(message, ControlReply) and delivery.routing_key.startswith(f"{message.agent_id}."):
            with self._changed:
                self._heard[message.request_id] = message
                self._changed.notify_all()


@contextmanager
def questions(transport: Transport) -> Iterator[Questions]:
    """Yield a way to ask that is closed with the block."""
    asking = Questions(transport)
    try:
        yield asking
    finally:
        asking.close()


def wait_until_idle(heartbeats: HeartbeatWaiter, agent_id: str, *, timeout_seconds: float) -> bool:
    """Return once an agent that was told to drain has nothing in hand; False if it still has, or is silent."""

    def idle(beat: AgentHeartbeat) -> bool:
        return beat.state == "draining" and not (beat.accepted or beat.running or beat.reporting)

    latest = heartbeats.latest(agent_id)
    if latest is not None and idle(latest):
        return True
    try:
        heartbeats.wait(agent_id, idle, timeout_seconds)
    except NoHeartbeat:
        return False
    return True


def wait_until_gone(management: ManagementClient, agent_id: str, *, timeout_seconds: float) -> bool:
    """Return once an agent has no connection to the broker any more; False if it still has.

    The broker's list is some seconds old, so an agent that ended a moment ago is waited for, too.
    """
    deadline = time.monotonic() + timeout_seconds
    name = account_name(agent_id)
    while any(connection.get("user") == name for connection in management.connections()):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
