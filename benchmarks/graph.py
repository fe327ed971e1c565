"""Sequencing of task graphs against simulated agents, with all state stored: tasks a second, memory a task.

The engine, the store (SQLite, full sync) and the messages are the real ones; the transport hands each task, encoded,
through a pipe to simulated agents, which are another process, as agents are: it reads each task and answers at once.
What decoding the answers costs is in the dispatcher's figures. A dispatcher runs for months, so a small graph is run
before the one that is measured, and the garbage collector is tuned as `outrider dispatcher run` tunes it.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.report import Report, benchmark_arguments
from outrider.dispatcher.clock import SystemClock
from outrider.dispatcher.engine import Engine, Services
from outrider.dispatcher.garbage import collect_rarely
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.signals import Look
from outrider.dispatcher.store import deployments, executions
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.deployments import Deployment
from outrider.dispatcher.store.executions import Execution, Status
from outrider.dispatcher.workflows.graph import Stage, StagePlan, Task, TaskGraph, TaskKind, Workflow
from outrider.dispatcher.workflows.view import DeploymentView, InstanceView
from outrider.messaging import topology
from outrider.messaging.codec import encode
from outrider.messaging.messages import Durations, FilesRef, OperationResult, Verdict
from outrider.messaging.transport import Confirmation, Consumer, Delivery, Handler, Outgoing, Topology

SIZES = (1_000, 10_000, 100_000)
#: Steps of each chain: what an instance's install has.
STEPS = 10
AGENTS = 10
#: Tasks of the graph that is run first: every statement and every message is prepared then.
WARM_UP = 100
LIMIT_SECONDS = 300.0
#: The most that Linux lets a pipe hold.
_PIPE_BYTES = 1 << 20


@dataclass
class SimulatedDelivery:
    """A message for the engine."""

    body: bytes
    exchange: str
    routing_key: str
    headers: dict[str, Any] = field(default_factory=dict)
    message_id: str | None = None
    user_id: str | None = None
    redelivered: bool = False
    dead_letter: Any = None

    def ack(self) -> None:
        """Nothing is kept."""

    def requeue(self) -> None:
        """Does not happen here."""
        raise AssertionError("the engine gave a message back")

    def reject(self, reason: str) -> None:
        """Does not happen here."""
        raise AssertionError(reason)


class SimulatedConsumer:
    """A consumer that lives as long as the process."""

    alive = True

    def cancel(self) -> None:
        """Nothing is held."""


class SimulatedAgents:
    """A transport whose only consumers are the engine's, and whose operations another process answers."""

    connected = True

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        command = [sys.executable, "-m", "benchmarks.graph", "--agents"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin.fileno(), self._process.stdout.fileno()
        fcntl.fcntl(self._requests, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._thread = threading.Thread(target=self._receive, name="results", daemon=True)
        self._thread.start()

    def on_connection_change(self, listener: Callable[[bool], None]) -> None:
        """The connection never changes."""

    def on_rejection(self, listener: Callable[[Delivery, str], None]) -> None:
        """Nothing is rejected: see `SimulatedDelivery`."""

    def declare(self, wanted: Topology) -> None:
        """Everything exists."""

    def check(self, wanted: Topology) -> None:
        """Everything exists."""

    def delete_queue(self, name: str) -> None:
        """Nothing is kept."""

    def queue_depth(self, name: str) -> int | None:
        """Nothing waits."""
        return 0

    def publish(self, message: Outgoing) -> Future[Confirmation]:
        """Confirm at once; operations go to the agents."""
        if message.exchange == topology.OPERATIONS:
            _write(self._requests, b"%s %s\n" % (message.routing_key.encode(), message.body))
        future: Future[Confirmation] = Future()
        future.set_result(Confirmation.CONFIRMED)
        return future

    def consume(self, queue: str, handler: Handler, *, prefetch: int, dedicated: bool = False) -> Consumer:
        """Remember who reads results."""
        self._handlers[queue] = handler
        return SimulatedConsumer()

    def cpu_seconds(self) -> float:
        """Return what the agents have used up to now."""
        fields = Path(f"/proc/{self._process.pid}/schedstat").read_text().split()
        return int(fields[0]) / 1e9

    def close(self, *, timeout_seconds: float = 5.0) -> None:
        """End the agents, and with them the thread."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout_seconds)
        self._thread.join(timeout_seconds)
        self._process.stdout.close()

    def _receive(self) -> None:
        for key, body in _lines(self._answers):
            delivery: Delivery = SimulatedDelivery(body, topology.RESULTS, key.decode())
            self._handlers[topology.RESULTS](delivery)


def answer_operations() -> None:
    """Be the agents: read operations from the standard input, answer each at once on the standard output."""
    for key, body in _lines(sys.stdin.fileno()):
        _write(sys.stdout.fileno(), b"%s.result %s\n" % (key, _result_of(key.decode(), body)))


def _lines(descriptor: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield routing key and message of each line that comes through a pipe, until it is closed."""
    rest = b""
    while chunk := os.read(descriptor, _PIPE_BYTES):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            key, _, body = line.partition(b" ")
            yield key, body


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _result_of(agent_id: str, body: bytes) -> bytes:
    """Return a result as an agent writes it; real agents are elsewhere, so as little as possible is done for it."""
    task = json.loads(body)["body"]
    text = _RESULT.replace("<agent>", agent_id)
    for name in _COPIED:
        text = text.replace(f"<{name}>", task[name])
    return text.encode()


_COPIED = ("attempt_id", "task_id", "execution_id", "token")
_RESULT = encode(
    OperationResult(
        "<attempt_id>",
        "<task_id>",
        "<execution_id>",
        "<agent>",
        "<token>",
        Verdict.SUCCEEDED,
        durations=Durations(queued=0.0, run=0.0),
    )
).decode()


def make_graph(size: int) -> TaskGraph:
    """Return chains of `STEPS` operations, one chain per instance."""
    tasks, dependencies, name = {}, {}, ""
    for number in range(size):
        chain, step = divmod(number, STEPS)
        before, name = name if step else None, f"instance_{chain}.step_{step}"
        tasks[name] = Task(
            id=name, kind=TaskKind.OPERATION, instance=f"node_{chain}", operation="cloudify.interfaces.lifecycle.start"
        )
        if before is not None:
            dependencies[name] = (before,)
    return TaskGraph(tasks=tasks, dependencies=dependencies)


def make_deployment(database: Database, size: int) -> None:
    """Store a deployment with an instance per chain, each on one of the agents' hosts."""
    operation = {"plugin": "script", "operation": "tasks.run", "inputs": {"path": "start.sh"}, "executor": "host_agent"}
    node = {
        "id": "node",
        "type": "cloudify.nodes.Root",
        "type_hierarchy": ["cloudify.nodes.Root"],
        "properties": {"size": "small", "region": "north"},
        "operations": {"cloudify.interfaces.lifecycle.start": operation},
        "relationships": [],
        "plugins": [],
    }
    host = {**node, "id": "host", "operations": {}}
    hosts = [InstanceView(id=f"host_{number}", node="host") for number in range(AGENTS)]
    instances = [
        InstanceView(id=f"node_{number}", node="node", host=f"host_{number % AGENTS}")
        for number in range(-(-size // STEPS))
    ]
    with database.begin() as connection:
        deployments.insert(
            connection,
            Deployment(id="bench", blueprint_id="bench"),
            nodes=[node, host],
            node_instances=hosts + instances,
            now=database.now(connection),
        )


@dataclass(frozen=True)
class Measured:
    """One run, for each task."""

    per_second: float
    #: Growth of the peak resident memory.
    bytes: float
    #: Computing time of the dispatcher, and of the agents.
    cpu_ms: float
    agents_cpu_ms: float


def measure(size: int) -> Measured:
    """Run a graph of this size."""
    with tempfile.TemporaryDirectory(prefix="outrider-bench-") as folder:
        transport = SimulatedAgents()
        database = Database(str(Path(folder) / "store.db"))
        engine = Engine(
            Services(database=database, transport=transport, planner=_plan, files=_files, clock=SystemClock()),
            EngineSettings(max_open_per_agent=1000, max_open_per_execution=1000),
        )
        make_deployment(database, max(size, WARM_UP))
        engine.open()
        run(engine, database, WARM_UP)
        collect_rarely()
        agents_computed = transport.cpu_seconds()
        before, started, computed = _peak_bytes(), time.perf_counter(), time.process_time()
        run(engine, database, size)
        seconds, used = time.perf_counter() - started, _peak_bytes() - before
        cpu_seconds, agents_cpu_seconds = time.process_time() - computed, transport.cpu_seconds() - agents_computed
        engine.stop()
        transport.close()
        database.close()
    return Measured(
        per_second=size / seconds,
        bytes=used / size,
        cpu_ms=1000 * cpu_seconds / size,
        agents_cpu_ms=1000 * agents_cpu_seconds / size,
    )


def run(engine: Engine, database: Database, size: int) -> None:
    """Execute a graph of this size to its end."""
    execution = Execution(id=str(uuid.uuid4()), workflow="bench", deployment_id="bench", parameters={"size": size})
    with database.begin() as connection:
        executions.insert(connection, execution, now=database.now(connection))
    ended: list[str] = []
    engine.on_end = ended.extend
    engine.inbox.put(Look())
    deadline = time.perf_counter() + LIMIT_SECONDS
    while not ended:
        engine.turn(wait_seconds=0.05)
        if time.perf_counter() > deadline:
            raise SystemExit(f"{size} tasks were not done within {LIMIT_SECONDS:g} s")
    with database.read() as connection:
        execution = executions.get(connection, execution.id)
    if execution.status is not Status.TERMINATED:
        raise SystemExit(f"the execution {execution.status.value}: {execution.error}")


def _plan(execution: Execution, _view: DeploymentView) -> Workflow:
    """Return one stage; the graph is made when the stage begins, within the time that is measured."""
    size = int(execution.parameters["size"])
    return Workflow(name="bench", stages=(Stage(name="bench", plan=lambda _view: StagePlan(graph=make_graph(size))),))


def _files(_agent_id: str) -> FilesRef:
    return FilesRef("file:///nowhere")


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _in_own_process(size: int) -> Measured:
    """Measure in a fresh process, so that no size sees the memory of the one before."""
    command = [sys.executable, "-m", "benchmarks.graph", "--size", str(size)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT_SECONDS * 2).stdout
    return Measured(*map(float, output.split()))


def main() -> None:
    """Print the table, or JSON."""
    if sys.argv[1:] == ["--agents"]:
        answer_operations()
        return
    if sys.argv[1:2] == ["--size"]:
        print(*astuple(measure(int(sys.argv[2]))))
        return
    arguments = benchmark_arguments(__doc__)
    report = Report("graph")
    for size in SIZES:
        found = _in_own_process(size)
        report.number(f"graph.{size}.per_s", found.per_second, unit="tasks/s", target="at least 3,000")
        report.number(f"graph.{size}.cpu_ms", found.cpu_ms, unit="ms of the dispatcher's computing per task")
        report.number(f"graph.{size}.agents_cpu_ms", found.agents_cpu_ms, unit="ms of the agents' computing per task")
    report.number("graph.bytes_per_task", found.bytes, unit="bytes", target="at most 4,096")
    report.print(as_json=arguments.json)


if __name__ == "__main__":
    main()
