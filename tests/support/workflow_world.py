"""A store, a broker and an agent, and dispatchers that die one after the other while workflows go on to their end."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from outrider.dispatcher.dispatcher import Dispatcher
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.store import instances, plugins
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.executions import Execution
from outrider.dispatcher.store.plugins import Plugin
from outrider.dispatcher.store.schema import DISPATCHERS
from outrider.dispatcher.workflows.view import InstanceView
from outrider.messaging.embedded import EmbeddedBroker
from outrider.messaging.messages import OperationResult, OperationTask
from outrider.messaging.transport import Transport
from tests.support.scripted_agent import ScriptedAgent, failed, succeeded

QUICK = EngineSettings(
    retry_interval_seconds=0.02,
    resend_first_seconds=0.02,
    resend_max_seconds=0.1,
    poll_seconds=0.02,
    owner_renewal_seconds=5.0,
    max_retries=2,
)
_LIMIT_SECONDS = 60.0

#: (operation's short name, node) → value; raises `Broken` for a failure.
Behaviour = Callable[[str, str], Any]


class Broken(Exception):
    """What a behaviour raises to make an operation fail for good."""


class World:
    """One deployment ``app`` and everything that it needs."""

    def __init__(
        self,
        folder: Path,
        blueprints: Mapping[str, str],
        *,
        inputs: Mapping[str, Any] | None = None,
        database_url: str | None = None,
    ) -> None:
        self.database = Database(database_url or str(folder / "store.db"))
        self._folder = folder
        self._broker = EmbeddedBroker()
        self._agent_transport = self._broker.transport()
        self.agent = ScriptedAgent(self._agent_transport, answer=self._answer)
        #: What ran, in order: ``node:operation``.
        self.ran: list[str] = []
        self.behaviour: Behaviour = lambda _operation, _node: None
        self._results: dict[str, OperationResult] = {}
        self._lock = threading.Lock()
        self._transport: Transport | None = None
        self.dispatchers = 0
        self.dispatcher = self._new_dispatcher()
        with self.database.begin() as connection:
            plugins.save(connection, Plugin(id="p", package_name="app", package_version="1.0", wagons=()))
        for name, text in blueprints.items():
            path = folder / name / "blueprint.yaml"
            path.parent.mkdir()
            path.write_text(text)
            self.dispatcher.create_blueprint(name, path)
        self.dispatcher.create_deployment("app", next(iter(blueprints)), inputs=inputs)

    def _answer(self, task: OperationTask) -> OperationResult:
        """Do as an agent with a journal: run an attempt once, and give the same answer whenever it is asked again."""
        with self._lock:
            known = self._results.get(task.attempt_id)
            if known is None:
                known = self._results[task.attempt_id] = self._run(task)
            return known

    def _run(self, task: OperationTask) -> OperationResult:
        side = task.context.node or (
            task.context.target if task.context.relationship_side == "target" else task.context.source
        )
        assert side is not None
        operation = task.context.operation.rpartition(".")[2]
        self.ran.append(f"{side.node}:{operation}")
        try:
            value = self.behaviour(operation, side.node)
        except Broken as error:
            return failed(task, str(error), recoverable=False)
        properties = {"made_by": operation} if operation in ("create", "delete") else {}
        return succeeded(task, value, **properties)

    def _new_dispatcher(self) -> Dispatcher:
        self._transport = self._broker.transport()
        self.dispatchers += 1
        made = Dispatcher(
            database=self.database,
            files=self._folder / "files",
            transport=self._transport,
            settings=QUICK,
            dispatcher_id=f"dispatcher-{self.dispatchers}",
        )
        made.engine.open()
        return made

    def replace_dispatcher(self) -> None:
        """Let the dispatcher die in the middle of a turn, what it stored last unpublished; another one takes over."""
        assert self._transport is not None
        self._transport.close()
        self.dispatcher.engine.turn()
        with self.database.begin() as connection:
            past = self.database.now(connection) - 1
            statement = sa.update(DISPATCHERS).where(DISPATCHERS.c.id == self.dispatcher.engine.id)
            connection.execute(statement.values(lease_until=past))
        self.dispatcher = self._new_dispatcher()

    def run(
        self,
        workflow: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        die_every: int | None = None,
        **execution: Any,
    ) -> Execution:
        """Run a workflow to its end, with another dispatcher after every so many operations."""
        asked = Execution(id="", workflow=workflow, **execution)
        return self.finish(self.dispatcher.start(workflow, "app", parameters, execution=asked), die_every=die_every)

    def finish(self, started: Execution, *, die_every: int | None = None) -> Execution:
        """Make turns until an execution has ended, and return it."""
        deadline = time.monotonic() + _LIMIT_SECONDS
        due = None if die_every is None else len(self.ran) + die_every
        while not (now := self.dispatcher.execution(started.id)).ended:
            waits = self.dispatcher.why(started.id) if time.monotonic() > deadline else []
            assert time.monotonic() < deadline, f"it has not ended: {waits}"
            self.dispatcher.engine.turn(wait_seconds=0.01)
            if due is not None and die_every is not None and len(self.ran) >= due:
                self.replace_dispatcher()
                due = len(self.ran) + die_every
        return now

    def turn_until(self, condition: Callable[[], bool]) -> None:
        """Make turns until something holds."""
        deadline = time.monotonic() + _LIMIT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "it has not come to pass"
            self.dispatcher.engine.turn(wait_seconds=0.01)

    def instances(self) -> dict[str, InstanceView]:
        """Return the node instances as stored."""
        with self.database.read() as connection:
            return instances.of_deployment(connection, ("default_tenant", "app"))

    def state(self) -> dict[str, Any]:
        """Return what two runs must have in common: ids are random, times differ."""
        found = self.instances()
        nodes = {instance_id: each.node for instance_id, each in found.items()}
        return {
            "instances": Counter(
                (
                    each.node,
                    each.state,
                    str(sorted(each.runtime_properties.items())),
                    tuple(sorted((link.type, nodes[link.target_instance]) for link in each.relationships)),
                    tuple(sorted((name, _verdict(value)) for name, value in each.system_properties.items())),
                )
                for each in found.values()
            ),
            "outputs": self.dispatcher.outputs("app"),
        }

    def close(self) -> None:
        """Stop everything."""
        self.dispatcher.engine.stop()
        self.agent.stop()
        assert self._transport is not None
        for each in (self._transport, self._agent_transport):
            each.close()
        self.database.close()


def _verdict(found: Any) -> str:
    """Return what is kept of a check, without its time and texts that name instances."""
    if not isinstance(found, Mapping):
        return str(found)
    return str(found["ok"]) if "ok" in found else str([_verdict(each) for each in found.values()])


@contextmanager
def world(folder: Path, blueprints: Mapping[str, str], **kwargs: Any) -> Iterator[World]:
    """Open a world, and close it."""
    folder.mkdir(exist_ok=True)
    made = World(folder, blueprints, **kwargs)
    try:
        yield made
    finally:
        made.close()
