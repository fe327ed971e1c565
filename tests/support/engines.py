"""A store with a deployment, an engine whose turns the test makes, and a scripted agent; all in one process."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from outrider.dispatcher.clock import ManualClock
from outrider.dispatcher.engine import Engine, Services
from outrider.dispatcher.manager_access import ManagerAddress
from outrider.dispatcher.recovery import Planner
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.signals import Look
from outrider.dispatcher.store import attempts, deployments, events, executions, tasks
from outrider.dispatcher.store.attempts import Attempt
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.deployments import Deployment
from outrider.dispatcher.store.executions import Execution
from outrider.dispatcher.store.schema import DISPATCHERS
from outrider.dispatcher.store.tasks import StoredTask
from outrider.dispatcher.workflows.graph import Stage, StagePlan, Task, TaskGraph, TaskKind, Workflow
from outrider.dispatcher.workflows.view import DeploymentView, InstanceView
from outrider.messaging.embedded import EmbeddedBroker
from outrider.messaging.messages import FilesRef
from outrider.messaging.transport import Transport
from tests.support.waiting import wait_until

DEPLOYMENT = ("default_tenant", "app")
#: Short enough that a test's manual clock need not jump far, long enough to tell the times apart.
QUICK = EngineSettings(
    start_window_seconds=60.0, lease_seconds=20.0, grace_seconds=2.0, max_retries=3, retry_interval_seconds=5.0
)


def operation(name: str, **fields: Any) -> Task:
    """Return a task that runs the operation ``do`` on the instance ``node_1``."""
    values: dict[str, Any] = {"instance": "node_1", "operation": "test.do"}
    return Task(id=name, kind=TaskKind.OPERATION, **(values | fields))


def chain(*tasks_in_order: Task) -> TaskGraph:
    """Return a graph in which each task waits for the one before."""
    names = [task.id for task in tasks_in_order]
    return TaskGraph(
        tasks={task.id: task for task in tasks_in_order},
        dependencies={name: (before,) for before, name in zip(names, names[1:], strict=False)},
    )


def side_by_side(*several: Task) -> TaskGraph:
    """Return a graph without dependencies."""
    return TaskGraph(tasks={task.id: task for task in several}, dependencies={})


def one_stage(graph: TaskGraph, **fields: Any) -> Workflow:
    """Return a workflow of one stage."""
    return Workflow(name="test", stages=(Stage(name="only", plan=lambda _view: StagePlan(graph=graph)),), **fields)


def make_deployment(database: Database, record: Mapping[str, Any] | None = None, *, instances: int = 1) -> None:
    """Store the deployment ``app``: one node ``node`` with the operation ``test.do`` by the built-in plugin."""
    plan = {"plugin": "script", "operation": "tasks.do", "inputs": {}, "executor": None, **(record or {})}
    node = {
        "id": "node",
        "name": "node",
        "type": "test.Node",
        "type_hierarchy": ["test.Node"],
        "properties": {},
        "operations": {"test.do": plan},
        "relationships": [],
        "plugins": [],
    }
    with database.begin() as connection:
        deployments.insert(
            connection,
            Deployment(id="app", blueprint_id="blueprint", inputs={"color": "red"}),
            nodes=[node],
            node_instances=[InstanceView(id=f"node_{number}", node="node") for number in range(1, instances + 1)],
            now=database.now(connection),
        )


class Bench:
    """Everything that an engine test needs. `until` makes turns and lets nothing sleep longer than it must."""

    def __init__(self, database: Database, workflow: Workflow, settings: EngineSettings = QUICK) -> None:
        self.database = database
        self.broker = EmbeddedBroker()
        self.transport = self.broker.transport()
        self._transports: dict[str, Transport] = {}
        self.clock = ManualClock()
        self.settings = settings
        self.planner: Planner = lambda _execution, _view: workflow
        self.engine = self.new_engine("one")

    def new_engine(self, name: str, *, manager: ManagerAddress | None = None) -> Engine:
        """Open another engine on the same store and broker; it has the same clock."""
        transport = self._transports[name] = self.broker.transport()
        services = Services(
            database=self.database,
            transport=transport,
            planner=self._plan,
            files=lambda _agent: FilesRef("file:///nowhere"),
            redeem=lambda _tenant, _listed, names: {name: f"value of {name}" for name in names},
            manager=manager,
            clock=self.clock,
        )
        engine = Engine(services, self.settings, dispatcher_id=name)
        engine.open()
        return engine

    def _plan(self, execution: Execution, view: DeploymentView) -> Workflow:
        return self.planner(execution, view)

    def kill(self, engine: Engine) -> None:
        """Let a dispatcher die: its connections end at once, its lease some time later, which is now."""
        self._transports[engine.id].close()
        self.end_lease(engine)

    def end_lease(self, engine: Engine) -> None:
        """Do what a long silence of a dispatcher does."""
        with self.database.begin() as connection:
            past = self.database.now(connection) - 1
            connection.execute(sa.update(DISPATCHERS).where(DISPATCHERS.c.id == engine.id).values(lease_until=past))

    def take_in(self) -> None:
        """Wait for a message to reach the engine, and make the turn that handles it."""
        wait_until(lambda: len(self.engine.inbox) > 0, describe="a message in the engine's inbox")
        self.engine.turn()

    def start(self, **fields: Any) -> str:
        """Store an execution and return its id."""
        record = Execution(id=str(uuid.uuid4()), workflow="test", deployment_id="app", **fields)
        with self.database.begin() as connection:
            executions.insert(connection, record, now=self.database.now(connection))
        self.engine.inbox.put(Look())
        return record.id

    def until(self, condition: Callable[[], bool], *, engines: Sequence[Engine] = (), seconds: float = 10.0) -> None:
        """Make turns until something is true."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come about in time"
            for engine in engines or (self.engine,):
                engine.turn(wait_seconds=0.01)

    def ended(self, execution_id: str, **how: Any) -> Execution:
        """Make turns until an execution has ended, and return it."""
        self.until(lambda: self.execution(execution_id).ended, **how)
        return self.execution(execution_id)

    def pass_time(self, seconds: float, *, step: float = 4.0) -> None:
        """Let time pass in steps small enough not to look like a pause of the process."""
        while seconds > 0:
            self.clock.advance(min(step, seconds))
            seconds -= step
            self.engine.turn()

    def look(self, engine: Engine | None = None) -> None:
        """Make one turn that looks into the store."""
        (engine or self.engine).inbox.put(Look())
        (engine or self.engine).turn()

    def execution(self, execution_id: str) -> Execution:
        """Return an execution as stored."""
        with self.database.read() as connection:
            return executions.get(connection, execution_id)

    def attempts(self, execution_id: str) -> list[Attempt]:
        """Return an execution's attempts as stored."""
        with self.database.read() as connection:
            return attempts.of_execution(connection, execution_id)

    def tasks(self, execution_id: str) -> dict[str, StoredTask]:
        """Return an execution's tasks as stored, by the planner's name."""
        with self.database.read() as connection:
            return {row.task.id: row for row in tasks.of_execution(connection, execution_id)}

    def properties(self, instance: str = "node_1") -> Mapping[str, Any]:
        """Return an instance's runtime properties as stored."""
        with self.database.read() as connection:
            view = deployments.view(connection, DEPLOYMENT, config={})
        return view.instances[instance].runtime_properties

    def messages(self, execution_id: str) -> list[str]:
        """Return the recorded events and log lines."""
        with self.database.read() as connection:
            return [each.message for each in events.after(connection, 0, execution_id=execution_id)]

    def close(self) -> None:
        """Stop the engine and the broker's threads."""
        self.engine.stop()
        for each in self._transports.values():
            each.close()
        self.transport.close()


@contextlib.contextmanager
def bench(folder: Path, workflow: Workflow, *, settings: EngineSettings = QUICK, **record: Any) -> Iterator[Bench]:
    """Open a bench on a SQLite store in `folder`; `record` changes the plan's operation."""
    database = Database(str(folder / "store.db"))
    make_deployment(database, record)
    made = Bench(database, workflow, settings)
    try:
        yield made
    finally:
        made.close()
        database.close()
