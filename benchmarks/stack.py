"""Whole installations for benchmarks: dispatcher in this process, agent in this process or in one of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from outrider.agent.agent import Agent
from outrider.agent.settings import Settings as AgentSettings
from outrider.cli.local import SourceBuilder
from outrider.dispatcher.dispatcher import Dispatcher
from outrider.dispatcher.files import ContentStore
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.store import agents
from outrider.messaging.amqp import AmqpSettings
from outrider.messaging.connect import open_transport
from outrider.messaging.embedded import EmbeddedBroker
from outrider.messaging.transport import Transport
from tests.support.rabbitmq import RabbitNode
from tests.support.waiting import wait_until

CENTRAL = "central"


@dataclass(frozen=True)
class Stack:
    """A running installation."""

    dispatcher: Dispatcher
    #: Where the agent keeps its state.
    state_dir: Path
    #: Process id of the agent, if it has a process of its own.
    agent_pid: int | None = None


@contextmanager
def embedded_stack(folder: Path, *, slots: int = 8, waiting_children: int = 4) -> Iterator[Stack]:
    """Dispatcher, broker and agent in this process."""
    broker = EmbeddedBroker()
    with ExitStack() as stack:
        transport, agent_transport = broker.transport(), broker.transport()
        stack.callback(transport.close)
        stack.callback(agent_transport.close)
        dispatcher = stack.enter_context(_dispatcher(folder, transport))
        state_dir = folder / "agent"
        agent = Agent(
            AgentSettings(agent_id=CENTRAL, state_dir=state_dir, slots=slots, waiting_children=waiting_children),
            agent_transport,
        )
        agent.start()
        stack.callback(agent.stop, end_runners=True)
        yield Stack(dispatcher, state_dir)


@contextmanager
def amqp_stack(folder: Path, broker_url: str, *, slots: int = 8, waiting_children: int = 4) -> Iterator[Stack]:
    """Dispatcher in this process, agent in one of its own, RabbitMQ between them."""
    with ExitStack() as stack:
        transport = open_transport(AmqpSettings(urls=(broker_url,), name="benchmark"), connect_within_seconds=15)
        stack.callback(transport.close)
        dispatcher = stack.enter_context(_dispatcher(folder, transport))
        state_dir = folder / "agent"
        environment = {
            **os.environ,
            "OUTRIDER_AGENT_ID": CENTRAL,
            "OUTRIDER_STATE_DIR": str(state_dir),
            "OUTRIDER_BROKER_URLS": broker_url,
            "OUTRIDER_SLOTS": str(slots),
            "OUTRIDER_WAITING_CHILDREN": str(waiting_children),
            "OUTRIDER_LOG_LEVEL": "warning",
        }
        with (folder / "agent.log").open("wb") as log:
            agent = subprocess.Popen([sys.executable, "-m", "outrider.agent"], env=environment, stderr=log)
        stack.callback(_end, agent, environment)
        yield Stack(dispatcher, state_dir, agent.pid)


@contextmanager
def rabbitmq_node() -> Iterator[RabbitNode]:
    """A private RabbitMQ for the time of the block."""
    node = RabbitNode()
    try:
        node.start()
        yield node
    finally:
        node.close()


def wait_for_agent(stack: Stack) -> None:
    """Return when the agent was heard of."""
    wait_until(lambda: _heard_of(stack), 30.0, f"a heartbeat of agent {CENTRAL}")


def _heard_of(stack: Stack) -> bool:
    with stack.dispatcher.database.read() as connection:
        return any(agent.last_seen_at for agent in agents.listed(connection))


def _dispatcher(folder: Path, transport: Transport) -> Dispatcher:
    files = ContentStore(folder / "files")
    return Dispatcher(
        database=f"sqlite:///{folder / 'outrider.db'}",
        files=files,
        transport=transport,
        settings=EngineSettings(central_agent=CENTRAL, max_retries=0),
        build_source=SourceBuilder(files, folder / "builds"),
    )


def _end(agent: subprocess.Popen[bytes], environment: dict[str, str]) -> None:
    agent.send_signal(signal.SIGTERM)
    try:
        agent.wait(timeout=20)
    except subprocess.TimeoutExpired:
        agent.kill()
        agent.wait()
    # Runners outlive their agent; this ends them and proves it.
    subprocess.run([sys.executable, "-m", "outrider.agent", "stop-all"], env=environment, check=True, timeout=60)
