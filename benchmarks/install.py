"""Agents onto hosts over SSH: the first host, and ten at once, beside ansible-core that does the same.

Ours begins at nothing (an account for the agent is made at the broker) and ends with the agent's first heartbeat.
Ansible copies the same bundle, installs it with the same program on the host, writes configuration and unit, and starts
the unit, which is ready when the agent is; accounts are made beforehand, and no heartbeat is awaited. The bundle is
built before either begins. Both get the same ten hosts: containers on this machine, which share its cores.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict

from benchmarks.farm import Farm, farm
from benchmarks.peers.ansible_peer import AnsiblePeer
from benchmarks.report import Report, Sample, benchmark_arguments, note
from outrider.installer import InstalledAgent, SshTarget, broker_heartbeats, install_agent, run_fleet
from outrider.installer.configuration import render_configuration
from outrider.installer.onhost.layout import system_layout


def ours(on: Farm, targets: tuple[SshTarget, ...]) -> tuple[float, list[InstalledAgent]]:
    """Install on all targets in parallel; return the seconds, and what each host tells."""
    began = time.perf_counter()
    with broker_heartbeats(on.transport) as heartbeats:
        report = run_fleet(
            targets, lambda target: install_agent(target, on.new_agent(target), on.bundle, heartbeats=heartbeats)
        )
    seconds = time.perf_counter() - began
    if report.failed:
        raise RuntimeError(f"an installation failed: {report.failed[0].error}")
    return seconds, [outcome.result for outcome in report.outcomes if outcome.result is not None]


def theirs(on: Farm, ansible: AnsiblePeer) -> float:
    """Have Ansible install on all hosts; returns the seconds."""
    layout = system_layout()
    configurations = {
        target.host: render_configuration(on.new_agent(target), state_dir=str(layout.state), ca_file=str(layout.ca))
        for target in on.targets
    }
    return ansible.install(on.bundle.select(on.bundle.targets[0]), on.bundle.host_program, configurations)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hosts", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)


def main() -> None:
    """Measure and print."""
    arguments = benchmark_arguments(__doc__, _options)
    first: list[float] = []
    ten: list[float] = []
    peer: list[float] = []
    steps: defaultdict[str, list[float]] = defaultdict(list)
    sent: list[int] = []
    note(f"starting {arguments.hosts} hosts")
    with farm(arguments.hosts) as on:
        ansible = AnsiblePeer(on.hosts, on.folder)
        try:
            for number in range(1, arguments.rounds + 1):
                seconds, installed = ours(on, on.targets[:1])
                first.append(seconds)
                note(f"round {number}/{arguments.rounds}: first host {seconds:.1f} s")
                for name, took in installed[0].seconds.items():
                    steps[f"first.{name}"].append(took)
                on.wipe()
                seconds, installed = ours(on, on.targets)
                ten.append(seconds)
                note(f"round {number}/{arguments.rounds}: all hosts {seconds:.1f} s")
                sent += [each.bytes_sent for each in installed]
                for each in installed:
                    for name, took in each.seconds.items():
                        steps[f"ten.{name}"].append(took)
                on.wipe()
                peer.append(theirs(on, ansible))
                on.wipe()
                note(f"round {number}/{arguments.rounds}: ansible {peer[-1]:.1f} s")
        finally:
            ansible.close()
    report = Report("install")
    report.sample("install.first", first, unit="s", target="at most 15")
    report.sample("install.ten", ten, unit="s", target="below the peer")
    report.sample("install.ten.peer", peer, unit="s")
    for name, taken in steps.items():
        report.sample(f"install.{name}", taken, unit="s")
    report.number("install.bytes_sent", Sample(tuple(map(float, sent))).median, unit="B", detail="to one host")
    report.print(as_json=arguments.json)


if __name__ == "__main__":
    main()
