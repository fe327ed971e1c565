"""What every benchmark shares: measuring in turns, describing the machine, and printing.

A benchmark fills a `Report` and calls `Report.print`; its ``main`` is::

    def main() -> None:
        arguments = benchmark_arguments(__doc__)
        report = Report("wagon")
        report.sample("wagon.cold", samples_seconds, unit="s", target="at most half of the peer")
        report.print(as_json=arguments.json)

With ``--json`` one object goes to standard output, ``{"benchmark": NAME, "machine": {…}, "results": {KEY: number}}``,
and nothing else does; progress always goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Optional

#: Factors from seconds to the unit that a key's suffix names.
_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6}


@dataclass(frozen=True)
class Sample:
    """Repeated measurements of one quantity, in seconds."""

    values: tuple[float, ...]

    @property
    def count(self) -> int:
        """The number of measurements."""
        return len(self.values)

    @property
    def median(self) -> float:
        """The p50."""
        return self.percentile(50)

    def percentile(self, percent: float) -> float:
        """Return the nearest-rank percentile: always a value that was measured."""
        ordered = sorted(self.values)
        rank = max(1, -(-len(ordered) * percent // 100))
        return ordered[int(rank) - 1]


@dataclass(frozen=True)
class Row:
    """One line of the table, and one key of the JSON object."""

    key: str
    value: float
    unit: str
    #: Sample size, p99, whatever else helps to judge the value.
    detail: str = ""
    target: str = ""


@dataclass
class Report:
    """The results of one benchmark, in the order in which they were added."""

    benchmark: str
    rows: list[Row] = field(default_factory=list)

    def number(self, key: str, value: float, *, unit: str, detail: str = "", target: str = "") -> None:
        """Add one number under ``key``; ``unit`` is for the reader: ``1/s``, ``MiB``, ``%``."""
        self.rows.append(Row(key, value, unit, detail, target))

    def sample(self, key: str, seconds: Sequence[float], *, unit: str, target: str = "", p99: bool = False) -> None:
        """Add the median of a sample as ``<key>_<unit>``.

        For round trips, whose keys carry their percentile, ``p99=True`` adds ``<key>.p50_<unit>`` and
        ``<key>.p99_<unit>`` instead. ``unit`` is ``s``, ``ms`` or ``us``.
        """
        sample, factor = Sample(tuple(seconds)), _UNITS[unit]
        last = sample.percentile(99) * factor
        detail = f"n={sample.count}, p99 {_readable(last)} {unit}"
        name = f"{key}.p50_{unit}" if p99 else f"{key}_{unit}"
        self.number(name, sample.median * factor, unit=unit, detail=detail, target=target)
        if p99:
            self.number(f"{key}.p99_{unit}", last, unit=unit, detail=f"n={sample.count}")

    def as_object(self) -> dict[str, object]:
        """Return what ``--json`` prints."""
        results = {row.key: round(row.value, 6) for row in self.rows}
        return {"benchmark": self.benchmark, "machine": describe_machine(), "results": results}

    def as_table(self) -> str:
        """Return the table for people, the machine in its last line."""
        lines = [("quantity", "value", "unit", "measured", "target")]
        lines += [(row.key, _readable(row.value), row.unit, row.detail, row.target) for row in self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(5)]
        table = ["  ".join(_cell(line, column, widths) for column in range(5)).rstrip() for line in lines]
        table.insert(1, "  ".join("-" * width for width in widths))
        machine = describe_machine()
        table.append(
            f"on {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}"
        )
        return "\n".join(table)

    def print(self, *, as_json: bool) -> None:
        """Print the report to standard output."""
        print(json.dumps(self.as_object(), indent=1) if as_json else self.as_table())


def benchmark_arguments(
    description: Optional[str], *options: Callable[[argparse.ArgumentParser], None]
) -> argparse.Namespace:
    """Parse the command line that all benchmarks share; each of ``options`` may add arguments to the parser."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    for add in options:
        add(parser)
    return parser.parse_args()


def in_turns(contenders: dict[str, Callable[[], float]], *, rounds: int) -> dict[str, list[float]]:
    """Measure several contenders one after the other, ``rounds`` times.

    Each callable returns the seconds that it measured itself. Turns, because a machine's speed drifts: a contender
    that ran while the machine was busy must not lose by that alone.
    """
    measured: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(1, rounds + 1):
        for name, measure in contenders.items():
            measured[name].append(measure())
            note(f"round {number}/{rounds}: {name} {measured[name][-1]:.3f} s")
    return measured


def note(text: str) -> None:
    """Tell who waits what is going on, on standard error."""
    print(text, file=sys.stderr, flush=True)


def describe_machine() -> dict[str, object]:
    """Return what somebody needs to compare figures: processor, cores, memory, system, Python."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _readable(value: float) -> str:
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _cell(line: tuple[str, ...], column: int, widths: list[int]) -> str:
    return line[column].rjust(widths[column]) if column == 1 else line[column].ljust(widths[column])
