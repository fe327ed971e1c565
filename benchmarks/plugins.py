"""A warm operation of an existing plugin, unmodified, beside the way it is run elsewhere.

The plugin is the ecosystem's AWS one, from a wagon of some 80 wheels. The operation prepares a key pair:
it reads the node, makes a boto3 client, logs, changes runtime properties, and calls nobody on the network. *plugin*: a
whole round trip through dispatcher, agent and an isolated process. *peer*: a fresh interpreter that runs it through
`cloudify.dispatch` of PyPI's cloudify-common, without any dispatcher or queue. In turns.
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import pairwise
from pathlib import Path

from benchmarks.peers.cloudify_peer import CloudifyPeer, cloudify_peer
from benchmarks.report import Report, Sample, benchmark_arguments, note
from benchmarks.stack import Stack, embedded_stack, wait_for_agent
from outrider.dispatcher.blueprint import Settings as BlueprintSettings
from outrider.dispatcher.files import ContentStore
from outrider.dispatcher.plugin_uploads import register
from outrider.dispatcher.store import attempts
from outrider.manager_stub.catalogue import TenantPlugins
from outrider.plugins.wagons import EnvironmentStore, read_wagon
from tests.support.aws import CREDENTIALS
from tests.support.aws_plugin_wagon import PLUGIN_YAML, aws_plugin_wagon

OPERATION = "cloudify_aws.ec2.resources.keypair.prepare"
NAME = "cloudify.interfaces.lifecycle.precreate"
TYPE = "cloudify.nodes.aws.ec2.Keypair"
HEAD = """tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml, "plugin:cloudify-aws-plugin"]
node_templates:
"""


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--chain", type=int, default=30, help="operations of a chain")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", type=int, default=3, help="operations of the peer in each round")


def main() -> None:
    """Measure and print."""
    arguments = benchmark_arguments(__doc__, _options)
    wagon_file = aws_plugin_wagon()
    ours: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory(prefix="outrider-bench-") as text:
        folder = Path(text)
        (folder / "peer").mkdir()
        python = _installed(wagon_file, folder / "store")
        node = {"type": TYPE, "type_hierarchy": ["cloudify.nodes.Root", TYPE], "properties": _properties()}
        with (
            embedded_stack(folder) as stack,
            cloudify_peer(python, folder / "peer", operation=OPERATION, name=NAME, node=node) as peer,
        ):
            _deploy(stack, folder, wagon_file, chain=arguments.chain)
            first = _warm_up(stack, peer)
            for number in range(arguments.rounds):
                ours += _round_trips(stack)
                theirs += [peer.run() for _ in range(arguments.peer)]
                note(f"round {number + 1}/{arguments.rounds}: {ours[-1]:.3f} s, peer {theirs[-1]:.3f} s")
    report = Report("plugins")
    report.sample("plugin", ours, unit="ms", p99=True, target="at most a fiftieth of the peer")
    report.sample("plugin.peer", theirs, unit="ms", p99=True)
    factor = Sample(tuple(theirs)).median / Sample(tuple(ours)).median
    report.number("plugin.times_faster", factor, unit="x", target="at least 50")
    report.number("plugin.first_s", first, unit="s", detail="install, import, first operation")
    report.print(as_json=arguments.json)


def _installed(wagon_file: Path, folder: Path) -> Path:
    """Return the Python of an environment with the wagon, for the peer: cloudify-common is among the wheels."""
    wagon = read_wagon(wagon_file)
    return EnvironmentStore(folder).ensure(wagon.name, wagon.version, wagon_file, sha256=wagon.sha256).python


def _properties() -> dict[str, object]:
    return {"client_config": CREDENTIALS, "resource_config": {"kwargs": {"KeyName": "bench"}}, "resource_id": ""}


def _deploy(stack: Stack, folder: Path, wagon_file: Path, *, chain: int) -> None:
    """Make the plugin known, and a deployment of nodes of which each depends on the one before."""
    dispatcher = stack.dispatcher
    yamls = {"plugin.yaml": PLUGIN_YAML.read_text(encoding="utf-8")}
    register(dispatcher.database, ContentStore(folder / "files"), wagon_file, yamls=yamls)
    lines = [HEAD]
    for number in range(chain):
        lines.append(f"  n{number}:\n    type: {TYPE}\n    properties: {_properties()!r}\n")
        if number:
            lines.append(f"    relationships: [{{type: cloudify.relationships.depends_on, target: n{number - 1}}}]\n")
    blueprint = folder / "blueprint" / "blueprint.yaml"
    blueprint.parent.mkdir()
    blueprint.write_text("".join(lines), encoding="utf-8")
    catalogue = TenantPlugins(dispatcher.database, dispatcher.tenant)
    dispatcher.create_blueprint("bench", blueprint, settings=BlueprintSettings(plugins=catalogue))
    dispatcher.create_deployment("bench", "bench")
    wait_for_agent(stack)


def _warm_up(stack: Stack, peer: CloudifyPeer) -> float:
    """Run both once, uncounted; return the seconds of our first operation."""
    peer.run()
    attempt_trips = _run(stack)
    return attempt_trips[0][1] - attempt_trips[0][0]


def _round_trips(stack: Stack) -> list[float]:
    """Return the seconds of each link of the chain."""
    made = [created for created, _ in _run(stack)]
    return [later - earlier for earlier, later in pairwise(made)]


def _run(stack: Stack) -> list[tuple[float, float]]:
    """Run the operation for all nodes, one after the other; return when each was made and when it ended."""
    parameters = {"operation": NAME, "run_by_dependency_order": True}
    ended = stack.dispatcher.run("execute_operation", "bench", parameters, timeout_seconds=600)
    with stack.dispatcher.database.read() as connection:
        found = attempts.of_execution(connection, ended.id)
    return sorted((each.created_at, each.ended_at or 0.0) for each in found)


if __name__ == "__main__":
    main()
