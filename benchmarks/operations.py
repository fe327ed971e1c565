"""Warm operations: round trip and rate, forked and spawned, on RabbitMQ and embedded, beside Celery prefork.

A round trip is the whole loop of one operation: the dispatcher's decision, the message, an isolated process, the
result, its commit to the store, and the release of the next one. It is taken from a chain of operations of which each
waits for the one before. Operations per second are of independent operations, from the first one's sending to the last
one's recorded result. Dispatcher, broker and agent share this machine. Celery's task shares a process with all others
and leaves no record; the agent's operation has a process of its own and a journal.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

from benchmarks.peers.celery_peer import celery_peer
from benchmarks.report import Report, benchmark_arguments, note
from benchmarks.stack import Stack, amqp_stack, embedded_stack, rabbitmq_node, wait_for_agent
from outrider.dispatcher.garbage import collect_rarely
from outrider.dispatcher.store import attempts
from outrider.dispatcher.store.attempts import Attempt

PLUGIN = '''"""An operation that does nothing."""

from outrider.plugins.sdk import operation


@operation
def nothing(**_):
    """Return at once."""
    return 1
'''
#: A thread that starts at the import makes forking unsafe: such a plugin gets a fresh interpreter per operation.
SPAWNED_PLUGIN = (
    PLUGIN
    + """

import threading

threading.Thread(target=threading.Event().wait, daemon=True).start()
"""
)
HEAD = """tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml]
plugins:
  bench: {{executor: central_deployment_agent, source: bench.py}}
node_types:
  bench.Node:
    derived_from: cloudify.nodes.Root
    interfaces:
      bench: {{run: bench.bench.nothing}}
node_templates:
"""
CHAIN, WIDE = "chain", "wide"
FORK, SPAWN = "fork", "spawn"
#: Operations of a spawned run, as a part of the forked ones: each takes an interpreter's start and an import.
SPAWNED_PART = 10


def write_blueprints(folder: Path, *, chain: int, wide: int) -> None:
    """Write, for each mode, a chain of nodes of which each depends on the one before, and many independent nodes."""
    for mode, plugin, part in ((FORK, PLUGIN, 1), (SPAWN, SPAWNED_PLUGIN, SPAWNED_PART)):
        for shape, count in ((CHAIN, chain // part), (WIDE, wide // part)):
            place = folder / f"{mode}-{shape}"
            place.mkdir(parents=True)
            (place / "bench.py").write_text(plugin, encoding="utf-8")
            lines = [HEAD.format()]
            for number in range(count):
                lines.append(f"  n{number}:\n    type: bench.Node\n")
                if shape == CHAIN and number:
                    relationship = "cloudify.relationships.depends_on"
                    lines.append(f"    relationships: [{{type: {relationship}, target: n{number - 1}}}]\n")
            (place / "blueprint.yaml").write_text("".join(lines), encoding="utf-8")


class Contender:
    """An installation that operations are measured on."""

    def __init__(self, stack: Stack, blueprints: Path) -> None:
        self._dispatcher = stack.dispatcher
        for place in sorted(blueprints.iterdir()):
            if place.is_dir():
                self._dispatcher.create_blueprint(place.name, place / "blueprint.yaml")
                self._dispatcher.create_deployment(place.name, place.name)
        wait_for_agent(stack)

    def round_trips(self, mode: str = FORK) -> list[float]:
        """Return the seconds of each link of the chain."""
        made = sorted(attempt.created_at for attempt in self._run(f"{mode}-{CHAIN}", by_dependency=True))
        return [later - earlier for earlier, later in pairwise(made)]

    def rate(self, mode: str = FORK) -> float:
        """Return operations per second."""
        found = self._run(f"{mode}-{WIDE}", by_dependency=False)
        began = min(attempt.created_at for attempt in found)
        ended = max(attempt.ended_at or 0.0 for attempt in found)
        return len(found) / (ended - began)

    def _run(self, deployment: str, *, by_dependency: bool) -> list[Attempt]:
        parameters = {"operation": "bench.run", "run_by_dependency_order": by_dependency}
        ended = self._dispatcher.run("execute_operation", deployment, parameters, timeout_seconds=300)
        with self._dispatcher.database.read() as connection:
            return attempts.of_execution(connection, ended.id)


@contextmanager
def contender(stack_of: Callable[[Path], object], blueprints: Path) -> Iterator[Contender]:
    """Start an installation in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="outrider-bench-") as folder, ExitStack() as stack:
        yield Contender(stack.enter_context(stack_of(Path(folder))), blueprints)  # type: ignore[arg-type]


def measure(report: Report, name: str, one: Contender, *, rounds: int) -> None:
    """Measure one installation in both modes; the first run installs the plugin and is not counted."""
    for mode, trip_target, rate_target in ((FORK, "p50 at most 6 ms", "at least 300"), (SPAWN, "", "")):
        one.round_trips(mode)
        trips = [trip for _ in range(rounds) for trip in one.round_trips(mode)]
        report.sample(f"{name}.{mode}", trips, unit="ms", p99=True, target=trip_target)
        rates = sorted(one.rate(mode) for _ in range(rounds))
        report.number(
            f"{name}.{mode}.per_s", rates[rounds // 2], unit="1/s", detail=f"n={rounds} runs", target=rate_target
        )
        note(f"{name}.{mode} done")


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--chain", type=int, default=200, help="operations of a chain")
    parser.add_argument("--wide", type=int, default=1000, help="independent operations")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("embedded", "amqp"), help="leave the other one out")


def main() -> None:
    """Measure and print."""
    arguments = benchmark_arguments(__doc__, _options)
    report = Report("operations")
    # As in the command line's processes.
    collect_rarely()
    with tempfile.TemporaryDirectory(prefix="outrider-bench-blueprints-") as text:
        blueprints = Path(text)
        write_blueprints(blueprints, chain=arguments.chain, wide=arguments.wide)
        if arguments.only != "amqp":
            with contender(embedded_stack, blueprints) as one:
                measure(report, "embedded", one, rounds=arguments.rounds)
        if arguments.only != "embedded":
            with rabbitmq_node() as node:
                with contender(lambda folder: amqp_stack(folder, node.url), blueprints) as one:
                    measure(report, "amqp", one, rounds=arguments.rounds)
                with celery_peer(node.url, log=blueprints / "celery.log") as peer:
                    peer.round_trips(20)
                    report.sample("celery", peer.round_trips(arguments.chain), unit="ms", p99=True)
                    report.number("celery.per_s", peer.throughput(arguments.wide), unit="1/s", detail="prefork 2")
    report.print(as_json=arguments.json)


if __name__ == "__main__":
    main()
