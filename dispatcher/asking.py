"""Questions to agents over their control queues, answered at once or not at all: for commands, beside any dispatcher.

The engine asks agents too (`control`), and takes the answers in its turns; a command has no engine of its own to wait
for, only a queue that lives as long as its connection.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from outrider.dispatcher import control
from outrider.dispatcher.errors import AgentRefused, AgentSilent
from outrider.messaging import topology
from outrider.messaging.codec import decode
from outrider.messaging.errors import DecodeError
from outrider.messaging.messages import ControlKind, ControlReply
from outrider.messaging.transport import Confirmation, Delivery, Transport

#: An agent answers within milliseconds, unless its host is very busy.
ANSWER_SECONDS = 10.0


class AgentQuestions:
    """Asks one agent at a time; made by `agent_questions`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._name = f"command-{uuid.uuid4().hex}"
        self._open: dict[str, Future[ControlReply]] = {}
        self._lock = threading.Lock()
        transport.declare(topology.dispatcher_topology(self._name))
        self._consumer = transport.consume(topology.dispatcher_queue(self._name), self._take, prefetch=10)

    def ask(
        self,
        agent_id: str,
        kind: ControlKind,
        payload: Mapping[str, Any] | None = None,
        *,
        timeout_seconds: float = ANSWER_SECONDS,
    ) -> Mapping[str, Any]:
        """Return the answer's payload. Raises `AgentSilent`, `AgentRefused`, `MessagingError`."""
        request_id = uuid.uuid4().hex
        future: Future[ControlReply] = Future()
        with self._lock:
            self._open[request_id] = future
        question = control.request(kind, agent_id, self._name, payload=payload, request_id=request_id)
        try:
            published = self._transport.publish(replace(question, mandatory=True, expires_seconds=timeout_seconds))
            if published.result(timeout_seconds) is Confirmation.RETURNED:
                raise AgentSilent(f"there is no agent {agent_id!r} at this broker: see `outrider agent list`")
            answered = future.result(timeout_seconds)
        except FutureTimeout:
            raise AgentSilent(
                f"agent {agent_id!r} did not answer within {timeout_seconds:g} s: it is not running, is cut off, or "
                "belongs to a release that does not know the question"
            ) from None
        finally:
            with self._lock:
                self._open.pop(request_id, None)
        if not answered.ok:
            raise AgentRefused(f"agent {agent_id!r} refuses: {answered.error}")
        return answered.payload

    def close(self) -> None:
        """Take no more answers; the queue goes with the connection."""
        self._consumer.cancel()
        self._transport.delete_queue(topology.dispatcher_queue(self._name))

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
def agent_questions(transport: Transport) -> Iterator[AgentQuestions]:
    """Yield the one who asks, for the time of the block."""
    questions = AgentQuestions(transport)
    try:
        yield questions
    finally:
        questions.close()
