"""A private RabbitMQ node: started once per test run, killed and restarted at will, gone afterwards.

`rabbitmq` is the node (shared by the run); `rabbitmq_vhost` is a virtual host of one test's own. Everything lies in a
temporary folder and listens on free ports of the loopback interface; also the Erlang port mapper is a private one.
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from outrider.messaging.amqp.management import ManagementClient, Permissions
from outrider.messaging.errors import ManagementFailed
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

#: The script that does not switch the user, unlike the one in ``sbin``.
SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
START_SECONDS = 120.0
#: More than anything of ours, and little enough for a test that exceeds it.
LARGEST_MESSAGE_BYTES = 24 * 1024 * 1024
_vhost_numbers = itertools.count(1)


@dataclass(frozen=True)
class VirtualHost:
    """One test's own part of the node."""

    name: str
    url: str
    node: RabbitNode

    @property
    def management(self) -> ManagementClient:
        return self.node.management


class RabbitNode:
    """One broker process with its data folder, which outlives `kill` and `stop` until `close`."""

    def __init__(self, *, extra_config: str = "") -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="outrider-rabbitmq-"))
        self.port, self.management_port, self._dist_port, self._epmd_port = free_ports(4)
        self.username, self.password = "admin", secrets.token_hex(8)
        self._extra_config = extra_config
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self.data_dir.mkdir()
        self._write_configuration()

    @property
    def data_dir(self) -> Path:
        """Where the broker keeps messages: tests look for secrets in its files."""
        return self._folder / "data"

    @property
    def log_dir(self) -> Path:
        return self._folder / "log"

    @property
    def url(self) -> str:
        """The default virtual host."""
        return self.url_of("/")

    @property
    def management_url(self) -> str:
        return f"http://{self.username}:{self.password}@127.0.0.1:{self.management_port}"

    @property
    def management(self) -> ManagementClient:
        return ManagementClient(self.management_url)

    @property
    def pid(self) -> int | None:
        """The broker's process (the Erlang machine itself); None while it is down."""
        return None if self._server is None else self._server.pid

    def url_of(self, vhost: str, *, username: str | None = None, password: str | None = None) -> str:
        """Return the AMQP URL of a virtual host, for the administrator or another account."""
        account = f"{username or self.username}:{password or self.password}"
        return f"amqp://{account}@127.0.0.1:{self.port}/{vhost.replace('/', '%2f')}"

    def start(self) -> None:
        """Start the broker with the data that it has, and wait until it serves."""
        assert self._server is None, "it runs already"
        environment = self._environment()
        if self._epmd is None:
            self._epmd = subprocess.Popen(
                ["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        with (self._folder / "server.out").open("ab") as output:
            self._server = subprocess.Popen(
                [str(SERVER)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        wait_until(self._serves, START_SECONDS, "RabbitMQ to serve", poll_seconds=0.1)

    def stop(self) -> None:
        """End the broker in an orderly way."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the broker at once, as a crash does.

        Waits first until the broker has written down its new quorum queues: RabbitMQ 3.10 does that some seconds
        after their declaration, and one that is killed earlier comes back with such a queue empty or not serving.
        """
        if self._server is not None and self._server.poll() is None:
            wait_until(self._quorum_queues_are_saved, 30, "new quorum queues to be on the broker's disk")
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """End everything and remove the folder."""
        self._end(signal.SIGKILL)
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def add_vhost(self) -> VirtualHost:
        """Make a fresh virtual host; `drop_vhost` removes it."""
        name = f"test-{next(_vhost_numbers)}"
        self.management.declare_vhost(name)
        self.management.set_permissions(name, self.username, Permissions(".*", ".*", ".*"))
        return VirtualHost(name, self.url_of(name), self)

    def drop_vhost(self, vhost: VirtualHost) -> None:
        """Remove a virtual host with everything in it; starts the node if the test left it down."""
        if self._server is None or self._server.poll() is not None:
            self._server = None
            self.start()
        self.management.delete_vhost(vhost.name)

    def _serves(self) -> bool:
        assert self._server is not None
        if self._server.poll() is not None:
            output = (self._folder / "server.out").read_text(errors="replace")
            raise RuntimeError(f"RabbitMQ ended while starting:\n{output[-2000:]}")
        try:
            self.management.version()
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except (ManagementFailed, OSError):
            return False
        return True

    def _quorum_queues_are_saved(self) -> bool:
        """Return whether the broker's register names every quorum queue that has a folder.

        A file's time does not tell: the register is marked as open before its content is written.
        """
        registers = self.data_dir.glob("*/quorum/*/names.dets")
        registered = b"".join(register.read_bytes() for register in registers)
        made = self.data_dir.glob("*/quorum/*/*/config")
        return all(config.parent.name.encode() in registered for config in made)

    def _end(self, how: signal.Signals) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.send_signal(how)
            server.wait(timeout=30)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"outrider-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": str(self.data_dir),
            "RABBITMQ_LOG_BASE": str(self.log_dir),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self._folder / "none.config"),
            "RABBITMQ_CONF_ENV_FILE": str(self._folder / "none.conf"),
            # The script then replaces itself by the Erlang machine, so that our child is the broker itself.
            "RUNNING_UNDER_SYSTEMD": "true",
            # No busy waiting of schedulers: tests share the machine.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none"
            " -kernel inet_dist_use_interface {127,0,0,1}",
        }

    def _write_configuration(self) -> None:
        (self._folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
        settings = {
            "listeners.tcp.1": f"127.0.0.1:{self.port}",
            "management.tcp.ip": "127.0.0.1",
            "management.tcp.port": str(self.management_port),
            "default_user": self.username,
            "default_pass": self.password,
            "default_user_tags.administrator": "true",
            "raft.wal_max_size_bytes": str(16 * 1024 * 1024),
            "max_message_size": str(LARGEST_MESSAGE_BYTES),
        }
        lines = [f"{key} = {value}" for key, value in settings.items()]
        (self._folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n" + self._extra_config)


def require_rabbitmq() -> None:
    """Skip the test where RabbitMQ is not installed."""
    if not SERVER.exists() or shutil.which("epmd") is None:
        pytest.skip("needs RabbitMQ: apt-get install rabbitmq-server")


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitNode]:
    """The run's RabbitMQ node. A test that kills it starts it again, or leaves that to `rabbitmq_vhost`."""
    require_rabbitmq()
    node = RabbitNode()
    try:
        node.start()
        yield node
    finally:
        node.close()


@pytest.fixture
def rabbitmq_vhost(rabbitmq: RabbitNode) -> Iterator[VirtualHost]:
    """A virtual host of this test's own."""
    vhost = rabbitmq.add_vhost()
    yield vhost
    rabbitmq.drop_vhost(vhost)
