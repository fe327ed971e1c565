"""An agent in this process over the embedded transport, and a dispatcher's part played by the test."""

from __future__ import annotations

import dataclasses
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from outrider.agent.agent import Agent
from outrider.agent.settings import Settings
from outrider.messaging import topology
from outrider.messaging.codec import decode, encode
from outrider.messaging.embedded import EmbeddedBroker
from outrider.messaging.messages import (
    AgentHeartbeat,
    ControlKind,
    ControlReply,
    ControlRequest,
    FilesRef,
    InstanceContext,
    Message,
    OperationContext,
    OperationResult,
    OperationTask,
    OperationUpdate,
    PluginRef,
)
from outrider.messaging.transport import Outgoing, Transport
from tests.support.waiting import wait_until

AGENT_ID = "host-1"
OPERATIONS = "agent_operations"
SUPPORT = Path(__file__).parent


def make_task(operation: str, *, agent_plugin: str = "tested", **changes: Any) -> OperationTask:
    """Return a task for one of `agent_operations`."""
    attempt_id = changes.pop("attempt_id", uuid.uuid4().hex)
    defaults: dict[str, Any] = {
        "attempt_id": attempt_id,
        "task_id": f"task-{attempt_id[:8]}",
        "execution_id": "execution-1",
        "attempt_number": 1,
        "operation": operation if "." in operation else f"{OPERATIONS}.{operation}",
        "plugin": PluginRef(agent_plugin, "1.0", builtin=True),
        "context": OperationContext(
            operation="cloudify.interfaces.lifecycle.create",
            workflow="install",
            deployment="d",
            blueprint="b",
            node=InstanceContext("web", "Root", ("Root",), {}, "web_1", {}, 1),
        ),
        "inputs": {},
        "token": "token-1",
        "files": FilesRef("file:///nowhere"),
    }
    return OperationTask(**{**defaults, **changes})


class PlayedDispatcher:
    """Publishes tasks and control requests to one agent; keeps what comes back."""

    def __init__(self, transport: Transport, agent_id: str = AGENT_ID) -> None:
        self.transport = transport
        self.agent_id = agent_id
        self.results: list[OperationResult] = []
        self.updates: list[OperationUpdate] = []
        self.heartbeats: list[AgentHeartbeat] = []
        self.replies: list[ControlReply] = []
        self.requests: list[ControlRequest] = []
        self.dead: list[bytes] = []
        self.secrets: dict[str, Any] = {}
        self._arrived = threading.Condition()
        transport.declare(topology.shared_topology())
        transport.declare(topology.agent_topology(agent_id))
        transport.declare(topology.dispatcher_topology("dispatcher-1"))
        for queue in (topology.RESULTS, topology.UPDATES, topology.HEARTBEATS, topology.REQUESTS):
            transport.consume(queue, self._receive, prefetch=500)
        transport.consume(topology.dispatcher_queue("dispatcher-1"), self._receive, prefetch=500)
        transport.consume(topology.DEAD, self._receive_dead, prefetch=500)

    def send(self, task: OperationTask) -> str:
        """Publish a task; returns its attempt id."""
        self.send_body(encode(task))
        return task.attempt_id

    def send_body(self, body: bytes) -> None:
        """Publish any bytes to the agent's queue."""
        message = Outgoing(topology.OPERATIONS, self.agent_id, body, mandatory=True)
        assert self.transport.publish(message).result(10).value == "confirmed"

    def run(self, task: OperationTask, *, timeout_seconds: float = 30) -> OperationResult:
        """Publish a task and return its result."""
        return self.result_of(self.send(task), timeout_seconds=timeout_seconds)

    def result_of(self, attempt_id: str, *, timeout_seconds: float = 30) -> OperationResult:
        """Return the first result of an attempt, once it is there."""
        deadline = time.monotonic() + timeout_seconds
        with self._arrived:
            while True:
                for result in self.results:
                    if result.attempt_id == attempt_id:
                        return result
                if not self._arrived.wait(deadline - time.monotonic()):
                    raise AssertionError(f"no result of {attempt_id} within {timeout_seconds} s; have {self.results}")

    def ask(
        self,
        kind: ControlKind,
        attempt_id: str | None = None,
        *,
        payload: dict[str, Any] | None = None,
        timeout_seconds: float = 30,
    ) -> ControlReply:
        """Send a control request and return its answer."""
        request = ControlRequest(
            uuid.uuid4().hex, kind, self.agent_id, "dispatcher-1", attempt_id, payload=payload or {}
        )
        self.transport.publish(Outgoing(topology.CONTROL, self.agent_id, encode(request), persistent=False)).result(10)
        return wait_until(
            lambda: next((reply for reply in self.replies if reply.request_id == request.request_id), None),
            timeout_seconds,
            f"an answer to {kind}",
        )

    def records_of(self, attempt_id: str) -> list[int]:
        """Return the sequence numbers that arrived of an attempt, in the order of their arrival."""
        return [
            record.sequence
            for update in self.updates
            if update.attempt_id == attempt_id
            for record in sorted((*update.logs, *update.events, *update.properties), key=lambda r: r.sequence)
        ]

    def _receive(self, delivery: Any) -> None:
        message: Message = decode(delivery.body)
        kinds: list[tuple[type, list[Any]]] = [
            (OperationResult, self.results),
            (OperationUpdate, self.updates),
            (AgentHeartbeat, self.heartbeats),
            (ControlReply, self.replies),
            (ControlRequest, self.requests),
        ]
        with self._arrived:
            next(kept for kind, kept in kinds if isinstance(message, kind)).append(message)
            self._arrived.notify_all()
        delivery.ack()
        if isinstance(message, ControlRequest):
            self._hand_out_secrets(message)

    def _hand_out_secrets(self, request: ControlRequest) -> None:
        reply = ControlReply(request.request_id, request.agent_id, ok=True, payload={"secrets": self.secrets})
        self.transport.publish(Outgoing(topology.CONTROL, request.reply_to, encode(reply), persistent=False))

    def _receive_dead(self, delivery: Any) -> None:
        self.dead.append(delivery.body)
        delivery.ack()


def agent_settings(state_dir: Path, **changes: Any) -> Settings:
    """Return settings for a test: small, quick."""
    defaults = Settings(
        agent_id=AGENT_ID,
        state_dir=state_dir,
        slots=4,
        waiting_children=2,
        heartbeat_seconds=0.5,
        lease_seconds=20,
        grace_seconds=0.5,
        disk_reserve_mib=1,
    )
    return dataclasses.replace(defaults, **changes)


@contextmanager
def running_agent(settings: Settings, transport: Transport, **answers: Any) -> Iterator[Agent]:
    """Run an agent; everything that it started is gone afterwards."""
    agent = Agent(settings, transport, **answers)
    agent.start()
    try:
        yield agent
    finally:
        agent.end_operations(grace_seconds=0)
        agent.stop(end_runners=True)


class Stage:
    """A broker, a played dispatcher, and an agent that can be stopped and started again."""

    def __init__(self, state_dir: Path, **changes: Any) -> None:
        self.broker = EmbeddedBroker()
        self.settings = agent_settings(state_dir, **changes)
        self._transports = [self.broker.transport()]
        self.dispatcher = PlayedDispatcher(self._transports[0])
        self.agent: Agent | None = None

    def start_agent(self) -> Agent:
        """Start an agent with a transport of its own."""
        transport = self.broker.transport()
        self._transports.append(transport)
        self.agent = Agent(self.settings, transport)
        self.agent.start()
        return self.agent

    def stop_agent(self, *, end_runners: bool = False) -> None:
        """Stop the agent as a restart does: operations and runners go on, or `end_runners`."""
        assert self.agent is not None
        self.agent.stop(end_runners=end_runners)
        self._transports.pop().close()
        self.agent = None

    def close(self) -> None:
        """End everything."""
        if self.agent is None:
            self.start_agent()
        assert self.agent is not None
        self.agent.end_operations(grace_seconds=0)
        self.agent.stop(end_runners=True)
        for transport in reversed(self._transports):
            transport.close()
