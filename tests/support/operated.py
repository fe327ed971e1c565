"""An agent in operation on a real host: installed over SSH, connected by TLS with an authority of the operator's own.

`operated` is shared by the tests of a module: broker, installation and dispatcher take seconds. Tests leave the agent
as they found it: running, with nothing in hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import pytest

from outrider.cli.ca import issue_certificate, make_authority
from outrider.cli.home import Home
from outrider.cli.local import Local, opened, transport_of
from outrider.cli.settings import CommandSettings, ConnectionSettings
from outrider.dispatcher.asking import AgentQuestions, agent_questions
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.store import agents, attempts, events
from outrider.dispatcher.store.executions import Execution
from outrider.installer import AgentSpec, BrokerAccess, Bundle, broker_heartbeats, create_account, install_agent
from outrider.installer import setup_broker as set_up
from outrider.messaging.amqp import AmqpSettings
from outrider.messaging.connect import open_transport
from tests.support.docker_engine import DockerEngine
from tests.support.hosts import Host
from tests.support.installing import target_of
from tests.support.ports import free_port
from tests.support.rabbitmq import RabbitNode, require_rabbitmq
from tests.support.waiting import wait_until

VHOST = "fleet"
AGENT = "operated-1"
#: More than the ten operations that one test has run at once.
SLOTS = 12
#: Of one operation, by its control group.
MEMORY_LIMIT_MIB = 100
_TLS = """\
listeners.ssl.1 = {address}:{port}
ssl_options.cacertfile = {folder}/ca.pem
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
ssl_options.verify = verify_none
"""


@dataclass(frozen=True)
class Operated:
    """The host, the dispatcher in this process, and what asks the agent."""

    host: Host
    local: Local
    questions: AgentQuestions
    bundle: Bundle

    def start(self, *scripts: str) -> list[Execution]:
        """Send shell scripts to the agent, an operation each."""
        plugin, run = {"name": "script"}, "script_runner.tasks.run"
        return [
            self.local.dispatcher.start_operation(AGENT, plugin, run, {"script_source": f"#!/bin/sh\n{script}\n"})
            for script in scripts
        ]

    def start_own(self, operation: str, **inputs: Any) -> Execution:
        """Send the agent one of the operations that the built-in plugin has for it."""
        return self.local.dispatcher.start_operation(AGENT, {"name": "agent"}, operation, inputs)

    def ended(self, started: list[Execution], *, within_seconds: float = 90) -> list[str]:
        """Return how they ended, once they have."""
        wait = self.local.dispatcher.wait
        return [wait(each.id, timeout_seconds=within_seconds).status.value for each in started]

    def error_of(self, execution: Execution) -> str:
        """Return the error of an operation's last attempt."""
        with self.local.dispatcher.database.read() as connection:
            found = attempts.of_execution(connection, execution.id)
        return str(((found[-1].result or {}).get("error") or {}).get("message"))

    def attempts_of(self, execution: Execution) -> int:
        """Return how many attempts an operation took."""
        with self.local.dispatcher.database.read() as connection:
            return len(attempts.of_execution(connection, execution.id))

    def lines_of(self, execution: Execution) -> list[str]:
        """Return what a script printed, in the order in which it was stored."""
        with self.local.dispatcher.database.read() as connection:
            found = events.after(connection, 0, execution_id=execution.id, limit=100_000)
        return [each.message.removeprefix("<out> ") for each in found if each.level is not None]

    def running_version(self) -> str:
        """Return the folder of the version that is active on the host."""
        return self.host.ask("readlink /opt/outrider/agent/current").removeprefix("versions/")


@pytest.fixture(scope="module")
def operated(
    engine: DockerEngine, shared_host: Host, agent_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operated]:
    """Return an agent in operation; the shared host is clean afterwards."""
    require_rabbitmq()
    folder, port = tmp_path_factory.mktemp("operated"), free_port()
    make_authority(folder, name="operator")
    certificate, key = issue_certificate(folder, [engine.gateway])
    tls = _TLS.format(address=engine.gateway, port=port, folder=folder, certificate=certificate, key=key)
    with ExitStack() as stack:
        node = RabbitNode(extra_config=tls)
        stack.callback(node.close)
        node.start()
        node.management.declare_vhost(VHOST)
        url = node.url_of(VHOST)
        transport = stack.enter_context(
            closing(open_transport(AmqpSettings(urls=(url,), name="tests"), connect_within_seconds=20.0))
        )
        set_up(node.management, transport, vhost=VHOST, account=node.username)
        account = create_account(node.management, transport, AGENT, vhost=VHOST)
        access = BrokerAccess(
            (account.url(f"amqps://{engine.gateway}:{port}/{VHOST}"),),
            ca_pem=(folder / "ca.pem").read_text(encoding="utf-8"),
        )
        connection = ConnectionSettings(broker_urls=(url,), files_host=engine.gateway)
        settings = CommandSettings(Home(folder / "home"), connection, EngineSettings(), {})
        spec = AgentSpec(
            AGENT, access, settings={"memory_limit_mib": MEMORY_LIMIT_MIB, "slots": SLOTS, "environment": ["WORD=deep"]}
        )
        stack.callback(shared_host.wipe)
        with broker_heartbeats(transport) as heartbeats:
            install_agent(target_of(shared_host), spec, agent_bundle, heartbeats=heartbeats)
        local = stack.enter_context(opened(settings))
        asking = stack.enter_context(closing(transport_of(settings, name="tests that ask")))
        questions = stack.enter_context(agent_questions(asking))
        wait_until(lambda: _heard_of(local), 30, "a heartbeat of the agent in the store")
        yield Operated(shared_host, local, questions, agent_bundle)


def _heard_of(local: Local) -> bool:
    with local.dispatcher.database.read() as connection:
        return AGENT in agents.by_ids(connection, [AGENT])
