"""How long does it take to read and plan a blueprint of 100, 1,000 and 10,000 node templates?

Each node template has three properties, an operation with inputs and a relationship; types and plugin are shared, as in
real blueprints. *peer*: the parser of ``cloudify-common[dispatcher]`` on the same texts up to 1,000, in an environment
of its own below ``.ci/cache/blueprint``. Every measurement is a process of its own, without its imports, in seconds of
CPU time: reading is one thread that computes, and what else runs on a shared machine is not its cost.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import Report, Sample, benchmark_arguments, in_turns, note

PEER = "cloudify-common[dispatcher]==7.0.5"
CACHE = Path(__file__).resolve().parent.parent / ".ci" / "cache" / "blueprint"
ROUNDS = 3
OURS = """
import json, resource, sys, time
from outrider.dispatcher.blueprint import load
begin = time.process_time()
plan = load(sys.argv[1]).plan
seconds = time.process_time() - begin
print(json.dumps([seconds, len(plan["nodes"]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""
THEIRS = """
import json, resource, sys, time
from dsl_parser.parser import parse_from_path
begin = time.process_time()
plan = parse_from_path(sys.argv[1])
seconds = time.process_time() - begin
print(json.dumps([seconds, len(plan["nodes"]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""
HEAD = """tosca_definitions_version: cloudify_dsl_1_4
plugins:
  p: {executor: central_deployment_agent, install: false}
relationships:
  connected: {}
workflows:
  install: p.install
node_types:
  Service:
    properties:
      size: {default: 1}
      name: {type: string, default: x}
      ports: {type: list, default: [80, 443]}
    interfaces:
      lifecycle:
        create: {implementation: p.create, inputs: {size: {default: {get_property: [SELF, size]}}}}
        start: p.start
        stop: p.stop
node_templates:
"""


def blueprint(size: int) -> str:
    """Return a blueprint with `size` node templates in a binary tree of relationships."""
    lines = [HEAD]
    for number in range(size):
        lines += [
            f"  n{number}:",
            "    type: Service",
            f"    properties: {{size: {number}, name: service-{number}}}",
            "    interfaces:",
            "      lifecycle:",
            "        start: {implementation: p.start, inputs: {address: {get_attribute: [SELF, address]}}}",
        ]
        if number:
            lines.append(f"    relationships: [{{type: connected, target: n{(number - 1) // 2}}}]")
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = benchmark_arguments(__doc__)
    peer_python = prepare_peer()
    report = Report("blueprint")
    with tempfile.TemporaryDirectory(prefix="outrider-benchmark-") as folder:
        memory: dict[str, float] = {}
        contenders: dict[str, Callable[[], float]] = {}
        for size in (100, 1000, 10000):
            path = Path(folder) / f"{size}.yaml"
            path.write_text(blueprint(size), encoding="utf-8")
            contenders[f"{size}"] = measured(f"{size}", Path(sys.executable), OURS, path, memory)
        for size in (100, 1000):
            path = Path(folder) / f"{size}.yaml"
            contenders[f"{size}.peer"] = measured(f"{size}.peer", peer_python, THEIRS, path, memory)
        # The peer takes half a minute or more at 1,000: once is enough.
        slow = {"1000.peer": contenders.pop("1000.peer")}
        results = {**in_turns(contenders, rounds=ROUNDS), **in_turns(slow, rounds=1)}
    targets = {"1000": "<= 0.4", "10000": "<= 5"}
    for name, seconds in results.items():
        key = f"blueprint.{name.replace('.peer', '')}.{'peer_s' if name.endswith('.peer') else 's'}"
        report.number(
            key, Sample(tuple(seconds)).median, unit="s", detail=f"n={len(seconds)}", target=targets.get(name, "")
        )
    for name, mebibytes in memory.items():
        key = f"blueprint.{name.replace('.peer', '')}.{'peer_mib' if name.endswith('.peer') else 'mib'}"
        report.number(key, mebibytes, unit="MiB")
    growth = Sample(tuple(results["10000"])).median / Sample(tuple(results["1000"])).median
    report.number("blueprint.growth", growth, unit="x", detail="10,000 against 1,000", target="about 10")
    report.print(as_json=arguments.json)


def measured(name: str, python: Path, program: str, path: Path, memory: dict[str, float]) -> Callable[[], float]:
    """Return a callable that reads one blueprint in a process of its own and returns the seconds."""

    def measure() -> float:
        done = subprocess.run(
            [python, "-W", "ignore", "-c", program, path], capture_output=True, text=True, check=True, timeout=900
        )
        seconds, _, mebibytes = json.loads(done.stdout)
        memory[name] = max(memory.get(name, 0.0), mebibytes)
        return float(seconds)

    return measure


def prepare_peer() -> Path:
    """Return the interpreter of the peer's environment, which is made once."""
    python = CACHE / "venv" / "bin" / "python"
    marker = CACHE / "ready"
    if not marker.exists():
        note(f"making an environment for {PEER}")
        subprocess.run([sys.executable, "-m", "venv", CACHE / "venv"], check=True, timeout=120)
        subprocess.run([python, "-m", "pip", "install", "-q", PEER, "setuptools<80"], check=True, timeout=600)
        marker.touch()
    return python


if __name__ == "__main__":
    main()
