"""Control requests for this agent: answered at once, on a connection and thread of their own.

A cancel may take as long as ending a process tree takes; each gets a thread, so that a ping is answered meanwhile.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any, Callable, Optional

from outrider.agent.heartbeat import Heart
from outrider.agent.intake import Intake
from outrider.agent.journal import Journal
from outrider.agent.requests import DispatcherRequests
from outrider.agent.worker import Worker
from outrider.messaging import topology
from outrider.messaging.codec import decode, encode, to_json
from outrider.messaging.errors import DecodeError, MessagingError
from outrider.messaging.messages import ControlKind, ControlReply, ControlRequest
from outrider.messaging.transport import Consumer, Delivery, Outgoing, Transport

logger = logging.getLogger(__name__)

_PREFETCH = 50

#: Returns an answer's payload; an exception's text becomes the refusal.
Handler = Callable[[ControlRequest], dict[str, Any]]


class Control:
    """The consumer of the control queue."""

    def __init__(  # noqa: PLR0913 - keyword-only; each is a part of the agent that answers something
        self,
        *,
        agent_id: str,
        transport: Transport,
        worker: Worker,
        intake: Intake,
        heart: Heart,
        journal: Journal,
        requests: DispatcherRequests,
        beside: Mapping[ControlKind, Handler],
        grace_seconds: float,
    ) -> None:
        """`beside`: answers that need nothing of operations."""
        self._agent_id = agent_id
        self._transport = transport
        self._worker = worker
        self._intake = intake
        self._heart = heart
        self._journal = journal
        self._requests = requests
        self._grace = grace_seconds
        self._consumer: Optional[Consumer] = None
        self._handlers: dict[ControlKind, Handler] = {
            ControlKind.PING: self._ping,
            ControlKind.CANCEL: self._cancel,
            ControlKind.DRAIN: self._drain,
            ControlKind.EXPLAIN: self._explain,
            ControlKind.NEW_EPOCH: self._new_epoch,
            **beside,
        }

    def start(self) -> None:
        """Begin to answer."""
        queue = topology.agent_control_queue(self._agent_id)
        self._consumer = self._transport.consume(queue, self.receive, prefetch=_PREFETCH, dedicated=True)

    def stop(self) -> None:
        """Answer no more."""
        if self._consumer is not None:
            self._consumer.cancel()

    def receive(self, delivery: Delivery) -> None:
        """Handle one delivery; on the transport's thread."""
        try:
            message = decode(delivery.body)
        except DecodeError as error:
            delivery.reject(f"not a control request: {error}")
            return
        if isinstance(message, ControlReply):
            self._requests.answered(message)
        elif isinstance(message, ControlRequest):
            self._dispatch(message)
        else:
            delivery.reject(f"a control request is expected on this queue, this is a {type(message).__name__}")
            return
        delivery.ack()

    def _dispatch(self, request: ControlRequest) -> None:
        if request.kind is ControlKind.PING:
            self._answer(request)
        else:
            # These wait for the journal, or for processes.
            threading.Thread(
                target=self._answer, args=(request,), name=f"control-{request.kind.value}", daemon=True
            ).start()

    def _answer(self, request: ControlRequest) -> None:
        handler = self._handlers.get(request.kind)
        payload: dict[str, Any] = {}
        error: Optional[str] = None
        if handler is None:
            error = f"this agent does not know {request.kind.value}"
        else:
            try:
                payload = handler(request)
            except Exception as failure:
                # Whatever it is, the one who asked has to hear it, and the agent goes on.
                logger.exception("the control request %s failed", request.kind.value)
                error = f"{type(failure).__name__}: {failure}"
        reply = ControlReply(request.request_id, self._agent_id, error is None, payload, error)
        try:
            self._transport.publish(
                Outgoing(topology.REPLIES, f"{self._agent_id}.{request.reply_to}", encode(reply), persistent=False)
            )
        except MessagingError as failure:
            logger.warning("the answer to %s cannot be sent: %s", request.kind.value, failure)

    def _ping(self, _request: ControlRequest) -> dict[str, Any]:
        return {"state": self._intake.state, "journal_epoch": self._journal.epoch}

    def _cancel(self, request: ControlRequest) -> dict[str, Any]:
        if request.attempt_id is None:
            raise ValueError("a cancel needs an attempt_id")
        logger.info("attempt %s: cancel", request.attempt_id)
        grace = 0.0 if request.payload.get("kill") else self._grace
        return {"outcome": self._worker.cancel(request.attempt_id, grace_seconds=grace)}

    def _drain(self, request: ControlRequest) -> dict[str, Any]:
        if request.payload.get("undo"):
            self._intake.undrain()
        else:
            self._intake.drain()
        self._heart.beat_now()
        return {"state": self._intake.state}

    def _explain(self, _request: ControlRequest) -> dict[str, Any]:
        return to_json(self._heart.describe())

    def _new_epoch(self, request: ControlRequest) -> dict[str, Any]:
        # Asked at each heartbeat until one shows the new epoch: the second question must not end what the first began.
        if request.payload.get("journal_epoch") in (None, self._journal.epoch):
            self._journal.new_epoch()
        self._heart.beat_now()
        return {"journal_epoch": self._journal.epoch}
