"""One trivial command on ten agents at once, beside ansible-core on the same ten hosts.

Each host is a container with systemd and sshd; its agent was installed over SSH, and RabbitMQ is on this machine.
`exec.p50_ms` is from the call of a running dispatcher (a manager, or a Python job that has one) until the results of
all ten are stored: ten processes have run. `exec.cli_s` is the `outrider exec` command from its start to its end,
beside that dispatcher, which does its work; `exec.cli.alone_s` is the same where none runs: the command begins its own.
`exec.peer` is the `ansible` command with its module `command`, connections already open; there is no way to call it
without a process of its own. `exec.peer.raw` is its quickest module, which runs no Python on the host.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from benchmarks.farm import Farm, farm
from benchmarks.peers.ansible_peer import AnsiblePeer
from benchmarks.report import Report, benchmark_arguments, note
from outrider.cli.executing import shell_command
from outrider.cli.home import Home
from outrider.cli.local import Local, opened
from outrider.cli.settings import CommandSettings, ConnectionSettings
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.store import agents
from outrider.dispatcher.store.executions import Status
from outrider.installer import broker_heartbeats, install_agent, run_fleet
from tests.support.waiting import wait_until

LIMIT_SECONDS = 120.0


@dataclass(frozen=True)
class Contender:
    """A dispatcher that has a broker and ten agents."""

    local: Local
    agents: tuple[str, ...]
    environment: dict[str, str]

    def command(self) -> float:
        """Run ``true`` on all agents; returns the seconds until all results are stored."""
        operation = shell_command("true", {}, None)
        began = time.perf_counter()
        started = self.local.dispatcher.start_operations(
            self.agents, operation.plugin, operation.name, operation.inputs
        )
        ended = [self.local.dispatcher.wait(each.id, timeout_seconds=LIMIT_SECONDS) for each in started]
        seconds = time.perf_counter() - began
        failed = [each.error for each in ended if each.status is not Status.TERMINATED]
        if failed:
            raise RuntimeError(f"a command failed: {failed[0]}")
        return seconds

    def command_line(self) -> float:
        """Do the same by the command; returns the seconds of its process."""
        named = [argument for agent in self.agents for argument in ("--on", agent)]
        command = [sys.executable, "-m", "outrider.cli", "exec", "true", *named]
        began = time.perf_counter()
        subprocess.run(command, env=self.environment, check=True, stdout=subprocess.DEVNULL, timeout=LIMIT_SECONDS)
        return time.perf_counter() - began


@contextmanager
def contender(on: Farm) -> Iterator[Contender]:
    """Install the agents and start a dispatcher."""
    with broker_heartbeats(on.transport) as heartbeats:
        report = run_fleet(
            on.targets, lambda target: install_agent(target, on.new_agent(target), on.bundle, heartbeats=heartbeats)
        )
    if report.failed:
        raise RuntimeError(f"no agent could be installed: {report.failed[0].error}")
    names = tuple(on.name_of(target) for target in on.targets)
    connection = ConnectionSettings(broker_urls=(on.broker_url,))
    settings = CommandSettings(Home(on.folder / "home"), connection, EngineSettings(), {})
    # The command shares the dispatcher's store, as beside a service: one broker's virtual host has one store.
    environment = {
        **os.environ,
        "OUTRIDER_HOME": str(settings.home.path),
        "OUTRIDER_BROKER_URLS": on.broker_url,
    }
    with opened(settings) as local:
        wait_until(lambda: heard_of(local) >= set(names), 60.0, "heartbeats of all agents")
        yield Contender(local, names, environment)


def heard_of(local: Local) -> set[str]:
    """Return the agents that the dispatcher knows."""
    with local.dispatcher.database.read() as connection:
        return {agent.id for agent in agents.listed(connection)}


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hosts", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--times", type=int, default=20, help="commands of Outrider in a round, for one of Ansible's")


def main() -> None:
    """Measure and print."""
    arguments = benchmark_arguments(__doc__, _options)
    report = Report("exec")
    ours: list[float] = []
    command_line: list[float] = []
    peer: list[float] = []
    raw: list[float] = []
    note(f"starting {arguments.hosts} hosts")
    with farm(arguments.hosts) as on:
        with contender(on) as one, closing(AnsiblePeer(on.hosts, on.folder)) as ansible:
            # The first of each starts what stays: the plugin's runners here, SSH connections there.
            one.command()
            one.command()
            ansible.command()
            for number in range(1, arguments.rounds + 1):
                ours += [one.command() for _ in range(arguments.times)]
                peer.append(ansible.command())
                command_line.append(one.command_line())
                raw.append(ansible.command(module="raw"))
                note(f"round {number}/{arguments.rounds}: {ours[-1]:.3f} s, ansible {peer[-1]:.3f} s")
        alone = [one.command_line() for _ in range(arguments.rounds)]
    report.sample("exec", ours, unit="ms", p99=True)
    report.sample("exec.peer", peer, unit="ms", p99=True)
    report.sample("exec.peer.raw", raw, unit="ms", p99=True)
    report.sample("exec.cli", command_line, unit="s")
    report.sample("exec.cli.alone", alone, unit="s")
    times = sorted(peer)[len(peer) // 2] / sorted(ours)[len(ours) // 2]
    report.number("exec.times_faster", times, unit="x", detail="medians, against the peer", target="at least 20")
    report.print(as_json=arguments.json)


if __name__ == "__main__":
    main()
