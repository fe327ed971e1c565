"""A whole installation of separate processes over a real RabbitMQ: dispatchers, agents, and a client on the store.

Each process can be killed, paused and started again. `close` ends everything and proves that nothing is left.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from outrider.cli.local import SourceBuilder
from outrider.dispatcher.dispatcher import Dispatcher
from outrider.dispatcher.errors import StoreBusy, StoreUnavailable
from outrider.dispatcher.files import ContentStore
from outrider.dispatcher.secrets import DatabaseTable, KeyRing, SecretStore
from outrider.dispatcher.store import agents, attempts, events, executions, instances, ownership
from outrider.dispatcher.store.agents import Agent
from outrider.dispatcher.store.attempts import Attempt
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.events import Event
from outrider.dispatcher.store.executions import Execution
from outrider.dispatcher.store.schema import EXECUTIONS
from outrider.messaging.embedded import EmbeddedBroker
from tests.support.processes import ServiceProcess, processes_naming
from tests.support.rabbitmq import VirtualHost
from tests.support.waiting import wait_until

CENTRAL = "central"
#: A loaded machine starts an interpreter with all imports in some seconds.
START_SECONDS = 60.0


@dataclass(frozen=True)
class Times:
    """The settings that bound everything, shortened; long enough for a machine that does other things, too."""

    start_window_seconds: float = 60.0
    lease_seconds: float = 30.0
    grace_seconds: float = 5.0
    heartbeat_seconds: float = 1.0
    owner_lease_seconds: float = 4.0

    @property
    def bound_seconds(self) -> float:
        """Within which every operation has a verdict."""
        return self.start_window_seconds + self.lease_seconds + self.grace_seconds


#: For tests that wait for a lease to end.
SHORT = Times(start_window_seconds=20.0, lease_seconds=12.0, grace_seconds=2.0, heartbeat_seconds=0.5)


class Installation:
    """The installation. Its dispatchers share one home folder and one database."""

    def __init__(
        self,
        folder: Path,
        vhost: VirtualHost,
        *,
        times: Times | None = None,
        slots: int = 4,
        database_url: str | None = None,
        builds: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`builds`: where plugins built from source are kept, to share them between tests."""
        self.folder, self.vhost, self.times, self.slots = folder, vhost, times or Times(), slots
        self.home = folder / "home"
        self.home.mkdir(mode=0o700)
        self.database_url = database_url or f"sqlite:///{self.home / 'outrider.db'}"
        self._settings = dict(settings or {})
        self._database = Database(self.database_url)
        self._transport = EmbeddedBroker().transport()
        content = ContentStore(self.home / "files")
        self.secrets = SecretStore(DatabaseTable(self._database), KeyRing(self.home / "secret.key"))
        #: Writes to the store and reads from it; has no engine.
        self.client = Dispatcher(
            database=self._database,
            files=content,
            transport=self._transport,
            secrets=self.secrets,
            build_source=SourceBuilder(content, builds or folder / "builds"),
        )
        self._dispatchers: list[ServiceProcess] = []
        self._agents: dict[str, tuple[ServiceProcess, dict[str, str]]] = {}

    # -- processes ----------------------------------------------------------------------------------------------------

    def add_dispatcher(self, **settings: str) -> ServiceProcess:
        """Start a dispatcher, and wait until it serves."""
        known = self._members()
        process = ServiceProcess(
            [sys.executable, "-m", "outrider.cli", "dispatcher", "run", "--no-central-agent"],
            environment=self._environment(
                {
                    "HOME": str(self.home),
                    "DATABASE_URL": self.database_url,
                    "START_WINDOW_SECONDS": str(self.times.start_window_seconds),
                    "LEASE_SECONDS": str(self.times.lease_seconds),
                    "GRACE_SECONDS": str(self.times.grace_seconds),
                    "OWNER_LEASE_SECONDS": str(self.times.owner_lease_seconds),
                    "OWNER_RENEWAL_SECONDS": str(self.times.owner_lease_seconds / 4),
                    "POLL_SECONDS": "0.3",
                    "RESEND_FIRST_SECONDS": "0.5",
                    "RESEND_MAX_SECONDS": "2",
                    "RETRY_INTERVAL_SECONDS": "0.5",
                    "MAX_RETRIES": "5",
                    **settings,
                }
            ),
            log=self.folder / f"dispatcher-{len(self._dispatchers) + 1}.log",
        )
        self._dispatchers.append(process)
        process.start()
        wait_until(lambda: self._members() - known or not process.running, START_SECONDS, "a dispatcher in the store")
        assert process.running, process.log.read_text()
        return process

    def add_agent(
        self, name: str = CENTRAL, *, state_dir: Path | None = None, prefix: Sequence[str] = (), **settings: str
    ) -> ServiceProcess:
        """Start an agent under the central agent's id, and wait until it was heard of.

        `name` tells its log and its state folder from others; `prefix` is a command that runs it.
        """
        environment = self._environment(
            {
                "AGENT_ID": CENTRAL,
                "STATE_DIR": str(state_dir or self.folder / name),
                "SLOTS": str(self.slots),
                "WAITING_CHILDREN": "2",
                "HEARTBEAT_SECONDS": str(self.times.heartbeat_seconds),
                "LEASE_SECONDS": str(self.times.lease_seconds),
                "GRACE_SECONDS": "1",
                "DISK_RESERVE_MIB": "1",
                **settings,
            }
        )
        command = [*prefix, sys.executable, "-m", "outrider.agent"]
        process = ServiceProcess(command, environment=environment, log=self.folder / f"agent-{name}.log")
        self._agents[name] = process, environment
        self.start_agent(process)
        return process

    def start_agent(self, process: ServiceProcess) -> None:
        """Start an agent that has ended, and wait until it was heard of."""
        before = self.agent()
        process.start()
        wait_until(
            lambda: _process_of(self.agent()) != _process_of(before) or not process.running,
            START_SECONDS,
            "the agent's first heartbeat in the store",
        )
        assert process.running, process.log.read_text()

    def pause_between_writes(self, process: ServiceProcess) -> None:
        """Pause a dispatcher at a moment at which it holds no lock of the store.

        In the middle of a transaction it would hold it: on SQLite until it wakes up, on PostgreSQL for a bounded time.
        """
        for _ in range(20):
            process.pause()
            if self._is_free():
                return
            # It is given the time to end its transaction: pausing it again at once would find it in the same one.
            process.wake()
            wait_until(self._is_free, START_SECONDS, "its transaction to end")
        raise AssertionError("the dispatcher was always in the middle of a transaction")

    def _is_free(self) -> bool:
        """Return whether nobody holds a lock of the store; changes nothing."""
        try:
            with self._database.begin() as connection:
                if connection.dialect.name == "postgresql":
                    # Longer, and it would wait until the server ends the other one's transaction.
                    connection.exec_driver_sql("SET LOCAL lock_timeout = '1s'")
                connection.execute(sa.update(EXECUTIONS).values(owner_epoch=EXECUTIONS.c.owner_epoch))
        except (StoreBusy, StoreUnavailable):
            return False
        return True

    def runners(self, name: str = CENTRAL) -> list[psutil.Process]:
        """Return the agent's live runners."""
        found = []
        for state in (self.folder / name / "runners").glob("*/state.json"):
            pid = int(json.loads(state.read_bytes())["pid"])
            if psutil.pid_exists(pid):
                found.append(psutil.Process(pid))
        return found

    def _environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("OUTRIDER_")}
        values = {"BROKER_URLS": self.vhost.url, "LOG_LEVEL": "info", **settings, **self._settings}
        return {**inherited, **{f"OUTRIDER_{name}": value for name, value in values.items()}}

    def deploy(self, blueprint: Path, name: str = "ledger", **inputs: Any) -> None:
        """Make a blueprint and a deployment of it, of the same name."""
        self.client.create_blueprint(name, blueprint)
        self.client.create_deployment(name, name, inputs=inputs)

    # -- the store ----------------------------------------------------------------------------------------------------

    def _members(self) -> set[str]:
        with self._database.read() as connection:
            return {each.id for each in ownership.members(connection)}

    def agent(self) -> Agent | None:
        """Return the central agent as stored, None before its first heartbeat."""
        with self._database.read() as connection:
            found = agents.by_ids(connection, [CENTRAL])
        return found.get(CENTRAL)

    def execution(self, execution_id: str) -> Execution:
        """Return an execution as stored."""
        with self._database.read() as connection:
            return executions.get(connection, execution_id)

    def attempts(self, execution_id: str) -> list[Attempt]:
        """Return an execution's attempts as stored."""
        with self._database.read() as connection:
            return attempts.of_execution(connection, execution_id)

    def events(self, execution_id: str) -> list[Event]:
        """Return all that was recorded of an execution: events and log lines."""
        with self._database.read() as connection:
            return events.after(connection, 0, execution_id=execution_id, limit=1_000_000)

    def properties(self, deployment_id: str) -> dict[str, Mapping[str, object]]:
        """Return the runtime properties of all instances."""
        with self._database.read() as connection:
            found = instances.of_deployment(connection, (self.client.tenant, deployment_id))
        return {name: each.runtime_properties for name, each in found.items()}

    def ended(self, execution_id: str, *, within_seconds: float) -> Execution:
        """Return an execution once it has ended; tells what it waits for if it does not in time."""
        deadline = time.monotonic() + within_seconds
        while not (found := self.execution(execution_id)).ended:
            if time.monotonic() > deadline:
                waits = "\n".join(f"{each.subject}: {each.waits_for}" for each in self.client.why(execution_id)[:20])
                raise AssertionError(f"execution {execution_id} has not ended in {within_seconds:g} s:\n{waits}")
            time.sleep(0.05)
        return found

    # -- the end ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End all processes, and prove that none is left."""
        for dispatcher in self._dispatchers:
            dispatcher.terminate()
        for process, environment in self._agents.values():
            process.terminate()
            command = [sys.executable, "-m", "outrider.agent", "stop-all"]
            ended = subprocess.run(command, env=environment, check=False, capture_output=True, timeout=90)
            assert ended.returncode == 0, ended.stderr.decode()
        self._transport.close()
        self._database.close()
        left = processes_naming(str(self.folder))
        assert not left, f"processes are left: {left}"


def _process_of(agent: Agent | None) -> str | None:
    return None if agent is None or agent.heartbeat is None else str(agent.heartbeat["process_id"])
