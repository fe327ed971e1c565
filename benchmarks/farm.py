"""Ten real hosts and a broker that they reach, for benchmarks of what goes over a network: containers with systemd,
sshd and addresses of their own on this machine, so all of them share its cores.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import paramiko

from outrider.installer import (
    AgentSpec,
    BrokerAccess,
    Bundle,
    SshTarget,
    build_bundle,
    create_account,
    make_targets,
    remove_account,
    setup_broker,
)
from outrider.messaging.amqp import AmqpSettings
from outrider.messaging.connect import open_transport
from outrider.messaging.transport import Transport
from tests.support.agent_bundles import HOST_PYTHON
from tests.support.docker_engine import docker_engine
from tests.support.host_image import ensure_host_image
from tests.support.hosts import Host, running_hosts
from tests.support.installing import target_of
from tests.support.ports import free_port
from tests.support.rabbitmq import RabbitNode

VHOST = "fleet"


@dataclass(frozen=True)
class Farm:
    """Hosts without agents, a broker that is set up, a bundle for them, and a folder for whatever is needed."""

    hosts: tuple[Host, ...]
    #: The ways into the hosts.
    targets: tuple[SshTarget, ...]
    node: RabbitNode
    #: Connected as the broker's administrator.
    transport: Transport
    #: The broker's address for hosts, without an account.
    address: str
    bundle: Bundle
    folder: Path

    @property
    def broker_url(self) -> str:
        """The broker's address for a dispatcher on this machine."""
        return self.node.url_of(VHOST)

    def name_of(self, target: SshTarget) -> str:
        """Return the id of a host's agent."""
        return target.host.replace(".", "-")

    def new_agent(self, target: SshTarget) -> AgentSpec:
        """Make the account of a host's agent at the broker, and return the agent that shall be there."""
        account = create_account(self.node.management, self.transport, self.name_of(target), vhost=VHOST)
        return AgentSpec(account.agent_id, BrokerAccess((account.url(self.address),)))

    def wipe(self) -> None:
        """Take all agents away, from the hosts and from the broker."""
        with ThreadPoolExecutor(len(self.hosts)) as pool:
            list(pool.map(lambda host: host.wipe(), self.hosts))
        for target in self.targets:
            remove_account(self.node.management, self.transport, self.name_of(target))


@contextmanager
def farm(count: int) -> Iterator[Farm]:
    """Start hosts and a broker; all of it is gone after the block."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="outrider-bench-farm-")))
        engine = stack.enter_context(docker_engine())
        client = engine.client()
        stack.callback(client.close)
        image = ensure_host_image(client)
        key = folder / "login"
        paramiko.ECDSAKey.generate().write_private_key_file(str(key))
        start = stack.enter_context(running_hosts(engine, image, key))
        hosts = tuple(start() for _ in range(count))
        port = free_port()
        node = RabbitNode(extra_config=f"listeners.tcp.2 = {engine.gateway}:{port}\n")
        stack.callback(node.close)
        node.start()
        node.management.declare_vhost(VHOST)
        transport = open_transport(
            AmqpSettings(urls=(node.url_of(VHOST),), name="benchmark"), connect_within_seconds=30.0
        )
        stack.callback(transport.close)
        setup_broker(node.management, transport, vhost=VHOST, account=node.username)
        bundle = build_bundle(folder / "agent.tar", make_targets([HOST_PYTHON]))
        yield Farm(
            hosts,
            tuple(map(target_of, hosts)),
            node,
            transport,
            f"amqp://{engine.gateway}:{port}/{VHOST}",
            bundle,
            folder,
        )
