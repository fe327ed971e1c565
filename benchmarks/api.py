"""Measures the REST API: list pages, asked for by 50 clients at once, over 100,000 stored events.

::

    python -m benchmarks.api [--json] [--events 100000] [--instances 10000] [--clients 50] [--requests 40]

The manager runs beside this process, on SQLite; the clients, each with its own connection, are cheap (`http_load`), but
share the machine's cores with it. Each follows an execution, or reads a page, of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from benchmarks import http_load
from benchmarks.report import Report, Sample, benchmark_arguments, note
from outrider.dispatcher.dispatcher import Dispatcher
from outrider.dispatcher.garbage import collect_rarely
from outrider.dispatcher.secrets import DatabaseTable, KeyRing, SecretStore
from outrider.dispatcher.store import deployments, events, executions, tokens
from outrider.dispatcher.store.deployments import Deployment
from outrider.dispatcher.store.events import Event
from outrider.dispatcher.store.executions import Execution
from outrider.dispatcher.workflows.view import InstanceView
from outrider.manager_stub import Manager, ManagerServer, ManagerSettings, usual_page_processes
from outrider.messaging.embedded import EmbeddedBroker

#: Name of a route → path of a client's page, by the client's number. Pages of 100, as clients follow executions by.
ROUTES = {
    "events": "/api/v3.1/events?execution_id=run-{client}&_size=100&_offset=500&_sort=reported_timestamp",
    "instances": "/api/v3.1/node-instances?_size=100&_offset={client}00&_sort=node_id",
    "deployments": "/api/v3.1/deployments?_size=100&_sort=created_at",
    "executions": "/api/v3.1/executions?_size=100&_sort=-created_at",
}
DEPLOYMENTS = 100
START_SECONDS = 300.0
WARM_UP_SECONDS = 10.0


def fill(manager: Manager, *, event_count: int, instance_count: int) -> str:
    """Store what the lists are made of; return a token."""
    database = manager.database
    each = instance_count // DEPLOYMENTS
    with database.begin() as connection:
        now = database.now(connection)
        for number in range(DEPLOYMENTS):
            deployments.insert(
                connection,
                Deployment(id=f"app-{number}", blueprint_id="app"),
                nodes=[{"id": "web", "name": "web", "type": "a.Type"}],
                node_instances=[
                    InstanceView(id=f"web_{number}_{index}", node="web", state="started", index=index)
                    for index in range(each)
                ],
                now=now + number,
            )
            run = Execution(id=f"run-{number}", workflow="install", deployment_id=f"app-{number}")
            executions.insert(connection, run, now=now + number)
        for number in range(DEPLOYMENTS):
            records = [
                Event(message=f"line {n}", happened_at=now, execution_id=f"run-{number}", level="info", logger="bench")
                for n in range(event_count // DEPLOYMENTS)
            ]
            events.append(connection, records, now=now)
        return tokens.create(connection, "admin", now=now)[1]


def serve(folder: str, pipe: Connection, event_count: int, instance_count: int) -> None:
    """Run the manager until the pipe closes."""
    place = Path(folder)
    transport = EmbeddedBroker().transport()
    dispatcher = Dispatcher(database=str(place / "store.db"), files=place / "files", transport=transport)
    secrets = SecretStore(DatabaseTable(dispatcher.database), KeyRing(place / "secret.key"))
    settings = ManagerSettings(port=0, work=place / "uploads", page_processes=usual_page_processes())
    manager = Manager(dispatcher, secrets, settings)
    manager.first_admin()
    token = fill(manager, event_count=event_count, instance_count=instance_count)
    with ManagerServer(manager) as server:
        collect_rarely()
        pipe.send((server.port, token))
        with contextlib.suppress(EOFError):
            pipe.recv()
    dispatcher.database.close()
    transport.close()


@contextlib.contextmanager
def manager_process(folder: str, *, event_count: int, instance_count: int) -> Iterator[tuple[int, str, psutil.Process]]:
    """Serve in another process for the time of the block; yields port, token and process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(folder, theirs, event_count, instance_count))
    process.start()
    theirs.close()
    if not ours.poll(START_SECONDS):
        raise SystemExit(f"the manager did not start within {START_SECONDS:g} s")
    try:
        yield *ours.recv(), psutil.Process(process.pid)
    finally:
        ours.close()
        process.join(30)


def cpu_seconds(process: psutil.Process) -> float:
    """Return the computing that a process and those that it started have taken."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def warm_up(asks: Sequence[Callable[[], object]]) -> None:
    """Ask until plans and caches are there, and the processes have started that a manager under load has."""
    until = time.monotonic() + WARM_UP_SECONDS
    while time.monotonic() < until:
        for ask in asks:
            ask()


def options(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's own options."""
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--instances", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--requests", type=int, default=40, help="requests of each client to each route")


def main() -> None:
    """Measure and print."""
    arguments = benchmark_arguments(__doc__, options)
    report = Report("api")
    worst, errors = 0.0, 0
    with tempfile.TemporaryDirectory(prefix="outrider-api-") as folder:
        note(f"storing {arguments.events} events and {arguments.instances} node instances")
        with manager_process(folder, event_count=arguments.events, instance_count=arguments.instances) as served:
            port, token, process = served
            headers = {"Authentication-Token": token, "Tenant": "default_tenant"}
            asked = {
                name: [path.format(client=number) for number in range(arguments.clients)]
                for name, path in ROUTES.items()
            }
            once = functools.partial(http_load.ask, port, headers=headers, requests=1)
            warm_up([functools.partial(once, paths) for paths in asked.values()])
            for name, paths in asked.items():
                before = cpu_seconds(process)
                load = http_load.ask(port, paths, headers=headers, requests=arguments.requests)
                served_for = cpu_seconds(process) - before
                count = len(load.seconds)
                errors += load.errors
                worst = max(worst, Sample(tuple(load.seconds)).percentile(99))
                report.sample(f"api.{name}", load.seconds, unit="ms", p99=True)
                report.number(f"api.{name}.per_s", count / load.took_seconds, unit="1/s")
                report.number(
                    f"api.{name}.cpu_ms", served_for / count * 1e3, unit="ms", detail="the manager, a request"
                )
                report.number(
                    f"api.{name}.client_cpu_ms", load.own_cpu_seconds / count * 1e3, unit="ms", detail="the client"
                )
                note(f"{name}: {count} requests in {load.took_seconds:.1f} s")
    report.number("api.list.p99_ms", worst * 1e3, unit="ms", detail="the slowest route", target="at most 150")
    report.number("api.errors", errors, unit="", target="0")
    report.print(as_json=arguments.json)


if __name__ == "__main__":
    main()
