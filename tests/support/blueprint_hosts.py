"""Agents on hosts by blueprints: a broker that hosts reach, the service of a dispatcher, and the command.

`fleet_service` is shared by all tests of a run: its broker and its dispatcher take seconds to start.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from outrider.dispatcher.store import agents, executions
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.executions import Execution
from outrider.installer import Bundle
from outrider.installer.broker import account_name
from tests.support.agent_bundles import variant
from tests.support.docker_engine import DockerEngine
from tests.support.ports import free_ports
from tests.support.processes import ServiceProcess, processes_naming
from tests.support.rabbitmq import RabbitNode, require_rabbitmq
from tests.support.waiting import wait_until

VHOST = "fleet"
#: What runs on the host's agent: says where it ran, and leaves a file there.
GREETER = '''\
# /// script
# requires-python = ">=3.9"
# dependencies = []
# ///
"""Greets from the host that it runs on."""

import socket
from pathlib import Path

from outrider.plugins.sdk import ctx, operation


@operation
def create(greeting, **_):
    """Write the greeting on the host, and say where that was."""
    Path("/var/tmp/greeting").write_text(greeting)
    ctx.instance.runtime_properties["ran_on"] = socket.gethostname()


@operation
def delete(**_):
    """Take the greeting away."""
    Path("/var/tmp/greeting").unlink(missing_ok=True)
'''
#: What runs on the central agent, as a cloud's plugin does: makes a machine, which is there already, of its user data.
CLOUD = '''\
# /// script
# requires-python = ">=3.9"
# dependencies = []
# ///
"""Hands the user data to whoever boots the machine."""

from pathlib import Path

from cloudify import ctx
from cloudify.decorators import operation


@operation
def create(user_data, address, **_):
    """Write the script where the test finds it, and note the machine's address."""
    script = ctx.agent.init_script()
    if script is not None:
        aside = Path(user_data + ".part")
        aside.write_text(script)
        aside.replace(user_data)
    ctx.instance.runtime_properties["ip"] = address
'''
BLUEPRINT = """\
tosca_definitions_version: cloudify_dsl_1_5
imports: [cloudify/types/types.yaml]
plugins:
  greeter: {executor: host_agent, source: greeter.py}
  cloud: {executor: central_deployment_agent, source: cloud.py}
inputs:
  ip: {type: string}
  user_data: {type: string, default: ''}
node_templates:
  vm:
    type: cloudify.nodes.Compute
    properties:
      agent_config: CONFIG
    interfaces:
      cloudify.interfaces.cloudify_agent: {create: {max_retries: TRIES}}
      cloudify.interfaces.lifecycle:
        create:
          implementation: cloud.cloud.create
          inputs: {user_data: {get_input: user_data}, address: {get_input: ip}}
  app:
    type: cloudify.nodes.Root
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {implementation: greeter.greeter.create, inputs: {greeting: hello}}
        delete: greeter.greeter.delete
    relationships: [{type: cloudify.relationships.contained_in, target: vm}]
outputs:
  ran_on: {value: {get_attribute: [app, ran_on]}}
  agent: {value: {get_attribute: [vm, cloudify_agent]}}
"""


class FleetService:
    """Broker, dispatcher with the central agent, and the command in the same home folder."""

    def __init__(self, folder: Path, gateway: str, bundle: Bundle) -> None:
        (port,) = free_ports(1)
        self.node = RabbitNode(extra_config=f"listeners.tcp.2 = {gateway}:{port}\n")
        #: The broker as hosts see it, without account and virtual host.
        self.hosts_address = f"amqp://{gateway}:{port}"
        self.folder = folder
        self._bundle = folder / "agent.tar"
        shutil.copy(bundle.path, self._bundle)
        (folder / "home").mkdir(mode=0o700)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("OUTRIDER_")}
        settings = {
            "HOME": str(folder / "home"),
            "BROKER_URLS": self.node.url_of(VHOST),
            "BROKER_MANAGEMENT_URL": self.node.management_url,
            "HOSTS_BROKER_URLS": f"{self.hosts_address}/{VHOST}",
            "FILES_HOST": gateway,
            "AGENT_BUNDLE": str(self._bundle),
            "RETRY_INTERVAL_SECONDS": "1",
            "POLL_SECONDS": "0.3",
            "LOG_LEVEL": "info",
        }
        self.environment = {**inherited, **{f"OUTRIDER_{name}": value for name, value in settings.items()}}
        command = [sys.executable, "-m", "outrider.cli", "dispatcher", "run"]
        self._dispatcher = ServiceProcess(command, environment=self.environment, log=folder / "dispatcher.log")

    def start(self) -> None:
        self.node.start()
        self.outrider("broker", "setup")
        self._dispatcher.start()
        wait_until(lambda: self.knows("central") or not self._dispatcher.running, 60, "the central agent's heartbeat")
        assert self._dispatcher.running, self._dispatcher.log.read_text()

    def close(self) -> None:
        try:
            self._dispatcher.terminate()
        finally:
            self.node.close()
        left = processes_naming(str(self.folder))
        assert not left, f"processes are left: {left}"

    def outrider(self, *arguments: str, code: int = 0, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run the command."""
        command = [sys.executable, "-m", "outrider.cli", *arguments]
        done = subprocess.run(
            command, env=self.environment, input=text, capture_output=True, text=True, timeout=300, check=False
        )
        said = f"{' '.join(arguments)}: {done.stdout}{done.stderr}"
        assert done.returncode == code, f"{said}\n{self._dispatcher.log.read_text()[-3000:]}"
        return done

    def blueprint(self, name: str, config: dict[str, Any], *, tries: int = 0) -> Path:
        """Write a blueprint of one host with one node inside; `config` is its agent_config.

        `tries`: how often its installation is tried again; tests of failures look at the first, and resume.
        """
        folder = self.folder / name
        folder.mkdir()
        (folder / "greeter.py").write_text(GREETER)
        (folder / "cloud.py").write_text(CLOUD)
        path = folder / "blueprint.yaml"
        path.write_text(BLUEPRINT.replace("CONFIG", json.dumps(config)).replace("TRIES", str(tries)))
        return path

    def run(
        self,
        blueprint: Path,
        workflow: str = "install",
        *,
        address: str = "",
        code: int = 0,
        **parameters: Any,
    ) -> dict[str, Any]:
        """Run a workflow of the deployment that is named like the blueprint's folder; return what `--json` prints.

        `address` is that of the host; the user data, if any, comes into the blueprint's folder.
        """
        inputs = ["-i", f"ip={address}", "-i", f"user_data={blueprint.parent / 'user-data'}"] if address else []
        for name, value in parameters.items():
            inputs += ["-p", f"{name}={json.dumps(value)}"]
        name = blueprint.parent.name
        done = self.outrider("run", str(blueprint), workflow, "--deployment", name, *inputs, "--json", code=code)
        return parsed(done.stdout)

    @contextlib.contextmanager
    def offering(self, version: str) -> Iterator[None]:
        """Let the dispatcher have a bundle of another version for the time of the block."""
        aside = self.folder / version
        aside.mkdir()
        other = variant(Bundle(self._bundle), aside, version=version)
        kept = self._bundle.replace(aside / "kept.tar")
        other.path.replace(self._bundle)
        try:
            yield
        finally:
            kept.replace(self._bundle)

    def begin(self, blueprint: Path, *, address: str) -> subprocess.Popen[bytes]:
        """Start `outrider run`, a dispatcher of its own, as a process that the test waits for, or kills."""
        inputs = ["-i", f"ip={address}", "-i", f"user_data={blueprint.parent / 'user-data'}"]
        return self.begin_command("run", str(blueprint), "--deployment", blueprint.parent.name, *inputs)

    def begin_command(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the command; what it prints goes to a file that is named like its first argument."""
        with (self.folder / f"{arguments[0]}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "outrider.cli", *arguments],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def executions(self, deployment: str) -> list[Execution]:
        """Return all executions of a deployment, as the store has them."""
        with closing(self._database()) as database, database.read() as connection:
            return executions.listed(connection, deployment_id=deployment)

    def kill_service(self, *, operations_too: bool) -> None:
        """Kill dispatcher and central agent, and, as when the machine fails, all that its operations run."""
        runs = processes_naming(f"{self.folder}/home/") if operations_too else []
        self._dispatcher.kill()
        for process in runs:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def start_service(self) -> None:
        """Start dispatcher and central agent again."""
        self._dispatcher.start()

    def resume(self, execution_id: str, *, code: int = 0) -> dict[str, Any]:
        """Let a failed execution go on; return what `--json` prints."""
        return parsed(self.outrider("execution", "resume", execution_id, "--json", code=code).stdout)

    def set_secret(self, name: str, value: str) -> None:
        """Store a secret, or another value of one."""
        self.outrider("secret", "set", name, text=value)

    def on_broker(self, agent_id: str) -> set[str]:
        """Return what the broker has of an agent: queues and account."""
        management = self.node.management
        queues = {str(queue["name"]) for queue in management.queues(VHOST)}
        found = {queue for queue in queues if queue.startswith(f"outrider.agent.{agent_id}")}
        return found | {name for name in management.users() if name == account_name(agent_id)}

    def knows(self, agent_id: str) -> bool:
        """Tell whether the dispatchers have heard of an agent."""
        with closing(self._database()) as database, database.read() as connection:
            found = agents.by_ids(connection, [agent_id]).get(agent_id)
        return found is not None and found.last_seen_at is not None

    def _database(self) -> Database:
        return Database(f"sqlite:///{self.folder / 'home' / 'outrider.db'}")

    def everything_kept(self) -> Iterator[tuple[Path, bytes]]:
        """Yield what is on this machine's disk: databases, journals, logs, the broker's data."""
        for root in (self.folder, self.node.data_dir, self.node.log_dir):
            for path in root.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    yield path, path.read_bytes()


def parsed(text: str) -> dict[str, Any]:
    """Return the document that a command printed."""
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.fixture(scope="session")
def fleet_service(
    engine: DockerEngine, agent_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FleetService]:
    """Return a running installation."""
    require_rabbitmq()
    service = FleetService(tmp_path_factory.mktemp("fleet"), engine.gateway, agent_bundle)
    try:
        service.start()
        yield service
    finally:
        service.close()
