"""Questions to agents over their control queues, answered at once or not at all, beside any dispatcher.

For commands and for the installer, which have no engine that takes answers in its turns: only a queue that lives as
long as their connection. Who asks turns silence and refusals into errors of its own.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from typing import Any, Optional

from outrider.messaging.codec import decode, encode
from outrider.messaging.errors import DecodeError, NobodyThere
from outrider.messaging.messages import ControlKind, ControlReply, ControlRequest
from outrider.messaging.topology import CONTROL, REPLIES
from outrider.messaging.transport import Binding, Confirmation, Delivery, Outgoing, Queue, Topology, Transport


class Questions:
    """Asks agents, and hears their answers on a queue of its own; made by `questions`. Thread-safe."""

    def __init__(self, transport: Transport, asker: str) -> None:
        self._transport = transport
        self._id = f"{asker}-{uuid.uuid4().hex}"
        self._queue = f"outrider.{asker}.{self._id}"
        self._open: dict[str, Future[ControlReply]] = {}
        self._lock = threading.Lock()
        transport.declare(
            Topology(
                queues=(Queue(self._queue, exclusive=True),),
                bindings=(Binding(REPLIES, self._queue, f"*.{self._id}"),),
            )
        )
        self._consumer = transport.consume(self._queue, self._take, prefetch=10)

    def ask(
        self,
        agent_id: str,
        kind: ControlKind,
        payload: Optional[Mapping[str, Any]] = None,
        *,
        timeout_seconds: float,
        again_seconds: Optional[float] = None,
    ) -> Optional[ControlReply]:
        """Return the agent's answer; None if there was none in time.

        With `again_seconds` it is asked anew each time, and may come to be within the time; without, it has to be
        there: raises `NobodyThere`. Also raises `TransportError`.
        """
        deadline = time.monotonic() + timeout_seconds
        while (left := deadline - time.monotonic()) > 0:
            request = ControlRequest(
                uuid.uuid4().hex, kind, agent_id=agent_id, reply_to=self._id, payload=dict(payload or {})
            )
            patience_seconds = left if again_seconds is None else min(left, again_seconds)
            answer = self._ask_once(request, patience_seconds, has_to_be_there=again_seconds is None)
            if answer is not None:
                return answer
        return None

    def _ask_once(
        self, request: ControlRequest, patience_seconds: float, *, has_to_be_there: bool
    ) -> Optional[ControlReply]:
        future: Future[ControlReply] = Future()
        with self._lock:
            self._open[request.request_id] = future
        question = Outgoing(
            CONTROL,
            request.agent_id,
            encode(request),
            persistent=False,
            mandatory=has_to_be_there,
            expires_seconds=patience_seconds,
        )
        try:
            published = self._transport.publish(question)
            if has_to_be_there and published.result(patience_seconds) is Confirmation.RETURNED:
                raise NobodyThere(f"there is no agent {request.agent_id!r} at this broker: see `outrider agent list`")
            return future.result(patience_seconds)
        except FutureTimeout:
            return None
        finally:
            with self._lock:
                self._open.pop(request.request_id, None)

    def close(self) -> None:
        """Hear nothing any more; the queue would go with the connection."""
        self._consumer.cancel()
        self._transport.delete_queue(self._queue)

    def _take(self, delivery: Delivery) -> None:
        delivery.ack()
        try:
            message = decode(delivery.body)
        except DecodeError:
            return
        # The broker lets an agent write under its own name only: the key proves who answers.
        if not isinstance(message, ControlReply) or not delivery.routing_key.startswith(f"{message.agent_id}."):
            return
        with self._lock:
            future = self._open.pop(message.request_id, None)
        if future is not None:
            future.set_result(message)


@contextmanager
def questions(transport: Transport, *, asker: str) -> Iterator[Questions]:
    """Yield a way to ask that is closed with the block; `asker` is a word for the names of queues."""
    asking = Questions(transport, asker)
    try:
        yield asking
    finally:
        asking.close()
