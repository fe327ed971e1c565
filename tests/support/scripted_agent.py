"""An agent that does what a test says: takes tasks from its queue and answers by a function, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from outrider.messaging import topology
from outrider.messaging.codec import decode, encode
from outrider.messaging.messages import (
    AgentHeartbeat,
    ControlKind,
    ControlReply,
    ControlRequest,
    Durations,
    Message,
    OperationError,
    OperationResult,
    OperationTask,
    OperationUpdate,
    PropertyChange,
    Verdict,
)
from outrider.messaging.transport import Delivery, Outgoing, Transport

#: What a test answers to a task: a result, or None to stay silent.
Answer = Callable[[OperationTask], OperationResult | None]


def succeeded(task: OperationTask, value: Any = None, **properties: Any) -> OperationResult:
    """Return the result of an operation that went well, and set these runtime properties."""
    changes: tuple[PropertyChange, ...] = ()
    if properties and task.context.node is not None:
        node = task.context.node
        changes = (PropertyChange(node.instance, properties, (), node.version, sequence=1),)
    return _result(task, Verdict.SUCCEEDED, value=value, properties=changes, durations=Durations(run=0.001))


def failed(task: OperationTask, message: str = "it broke", *, recoverable: bool = True) -> OperationResult:
    """Return the result of an operation that raised."""
    return _result(task, Verdict.FAILED, error=OperationError("Boom", message, recoverable=recoverable))


def not_resumable(task: OperationTask) -> OperationResult:
    """Return what an agent answers if the operation may have run before and does not say that it may run again."""
    error = OperationError("NotResumable", f"{task.operation} is not declared resumable", recoverable=False)
    return _result(task, Verdict.NEVER_STARTED, error=error)


def ended(task: OperationTask, verdict: Verdict, **fields: Any) -> OperationResult:
    """Return a result with any verdict."""
    return _result(task, verdict, **fields)


def _result(task: OperationTask, verdict: Verdict, **fields: Any) -> OperationResult:
    return OperationResult(
        attempt_id=task.attempt_id,
        task_id=task.task_id,
        execution_id=task.execution_id,
        agent_id="",
        token=task.token,
        verdict=verdict,
        **fields,
    )


class ScriptedAgent:
    """Consumes one agent's queues."""

    def __init__(self, transport: Transport, agent_id: str = "central", answer: Answer = succeeded) -> None:
        self.id = agent_id
        self.answer = answer
        self.tasks: list[OperationTask] = []
        self.requests: list[ControlRequest] = []
        self.replies: list[ControlReply] = []
        self._transport = transport
        self._lock = threading.Lock()
        self.clock = 100.0
        transport.declare(topology.shared_topology())
        transport.declare(topology.agent_topology(agent_id))
        self._consumers = [
            transport.consume(topology.agent_queue(agent_id), self._task, prefetch=1000),
            transport.consume(topology.agent_control_queue(agent_id), self._control, prefetch=10),
        ]

    def stop(self) -> None:
        """Take no more."""
        for each in self._consumers:
            each.cancel()

    def _task(self, delivery: Delivery) -> None:
        task = decode(delivery.body)
        assert isinstance(task, OperationTask)
        with self._lock:
            self.tasks.append(task)
        delivery.ack()
        answer = self.answer(task)
        if answer is not None:
            self.send(answer)

    def _control(self, delivery: Delivery) -> None:
        message = decode(delivery.body)
        delivery.ack()
        with self._lock:
            if isinstance(message, ControlRequest):
                self.requests.append(message)
            elif isinstance(message, ControlReply):
                self.replies.append(message)

    def send(self, result: OperationResult) -> None:
        """Publish a result as this agent."""
        self._publish(topology.RESULTS, "result", replace(result, agent_id=self.id))

    def update(self, task: OperationTask, **fields: Any) -> None:
        """Publish logs, events or property changes of an attempt."""
        message = OperationUpdate(
            task.attempt_id, task.task_id, task.execution_id, agent_id=self.id, token=task.token, **fields
        )
        self._publish(topology.UPDATES, "update", message)

    def heartbeat(self, **fields: Any) -> None:
        """Publish a heartbeat; the agent's clock goes on by one interval."""
        self.clock += 5.0
        values: dict[str, Any] = {
            "machine_id": "machine-1",
            "boot_id": "boot-1",
            "process_id": "process-1",
            "version": "1",
            "python": "3.11",
            "platform": "linux",
            "clock_seconds": self.clock,
            "interval_seconds": 5.0,
            "journal_epoch": "epoch-1",
            "journal_sequence": 1,
        }
        self._publish(topology.HEARTBEATS, "heartbeat", AgentHeartbeat(agent_id=self.id, **(values | fields)))

    def reply(self, request: ControlRequest, **payload: Any) -> None:
        """Answer a control request."""
        self._publish_to(request.reply_to, ControlReply(request.request_id, self.id, ok=True, payload=payload))

    def _publish_to(self, dispatcher_id: str, message: Message) -> None:
        self._transport.publish(Outgoing(topology.REPLIES, f"{self.id}.{dispatcher_id}", encode(message)))

    def redeem(self, task: OperationTask, names: list[str], *, token: str | None = None) -> None:
        """Ask for secrets; the answer comes into `replies`."""
        request = ControlRequest(
            "request-1",
            ControlKind.REDEEM_SECRETS,
            self.id,
            reply_to=self.id,
            attempt_id=task.attempt_id,
            token=task.token if token is None else token,
            payload={"names": names},
        )
        self._publish(topology.REQUESTS, "secrets", request)

    def _publish(self, exchange: str, key: str, message: Message) -> None:
        self._transport.publish(Outgoing(exchange, f"{self.id}.{key}", encode(message)))
