"""An idle agent on RabbitMQ: its memory and its share of one core, heartbeats and housekeeping included.

The agent is the process that a host runs all the time; it has taken no task yet, so no plugin's runner is counted.
Processor time is taken over a whole number of heartbeats, after the start has settled.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.report import Report, benchmark_arguments, note
from benchmarks.stack import amqp_stack, rabbitmq_node, wait_for_agent

_SETTLE_SECONDS = 5.0


def measure(pid: int, *, seconds: float) -> tuple[float, float]:
    """Return the process's resident memory in MiB and its processor time in per cent of one core."""
    process = psutil.Process(pid)
    time.sleep(_SETTLE_SECONDS)
    began, before = time.monotonic(), sum(process.cpu_times()[:2])
    time.sleep(seconds)
    used, passed = sum(process.cpu_times()[:2]) - before, time.monotonic() - began
    return process.memory_info().rss / 2**20, 100.0 * used / passed


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long the processor time is taken")


def main() -> None:
    """Measure and print."""
    arguments = benchmark_arguments(__doc__, _options)
    report = Report("footprint")
    with (
        tempfile.TemporaryDirectory(prefix="outrider-bench-") as folder,
        rabbitmq_node() as node,
        amqp_stack(Path(folder), node.url) as stack,
    ):
        wait_for_agent(stack)
        if stack.agent_pid is None:
            raise RuntimeError("over AMQP the agent has a process of its own; this one has none")
        note(f"the agent idles for {_SETTLE_SECONDS + arguments.seconds:g} s")
        memory, share = measure(stack.agent_pid, seconds=arguments.seconds)
    report.number("agent.rss_mib", memory, unit="MiB", target="at most 30")
    report.number(
        "agent.cpu_percent", share, unit="%", detail=f"over {arguments.seconds:g} s", target="at most 0.2 of one core"
    )
    report.print(as_json=arguments.json)


if __name__ == "__main__":
    main()
