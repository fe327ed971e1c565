"""Counts requests for Prometheus, and writes what is in the store beside them, in the text format."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outrider.dispatcher.store.attempts import AttemptState
from outrider.dispatcher.store.schema import AGENTS, ATTEMPTS, EXECUTIONS, NODE_INSTANCES
from outrider.messaging.version import __version__

BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Requests of this process since its start."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: Counter[tuple[str, str, int]] = Counter()
        self._buckets = [0] * (len(BUCKETS_SECONDS) + 1)
        self._sum = 0.0

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer; `route` is the pattern, not the path: ids would make a series each."""
        with self._lock:
            self._answers[method, route, status] += 1
            self._buckets[bisect_left(BUCKETS_SECONDS, seconds)] += 1
            self._sum += seconds

    def text(self, connection: Connection) -> str:
        """Return everything in Prometheus' text format."""
        lines = [
            *_family("outrider_build_info", "gauge", "The running version", [({"version": __version__}, 1)]),
            *self._requests(),
            *_stored(connection),
        ]
        return "\n".join(lines) + "\n"

    def _requests(self) -> list[str]:
        with self._lock:
            answers = dict(self._answers)
            buckets, total = list(self._buckets), self._sum
        name = "outrider_http_request_seconds"
        lines = _family(
            "outrider_http_requests_total",
            "counter",
            "Answered requests",
            [({"method": m, "route": r, "status": str(s)}, n) for (m, r, s), n in sorted(answers.items())],
        )
        lines += [f"# HELP {name} How long answers took", f"# TYPE {name} histogram"]
        below = 0
        for bound, count in zip((*map(str, BUCKETS_SECONDS), "+Inf"), buckets, strict=True):
            below += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {below}')
        return [*lines, f"{name}_sum {total:.6f}", f"{name}_count {below}"]


def _stored(connection: Connection) -> list[str]:
    def counted(column: sa.Column[str], *where: sa.ColumnElement[bool]) -> list[tuple[str, int]]:
        query = sa.select(column, sa.func.count()).where(*where).group_by(column).order_by(column)
        return [(row[0], row[1]) for row in connection.execute(query)]

    lines: list[str] = []
    for name, text, label, rows in (
        ("outrider_executions", "Executions by status", "status", counted(EXECUTIONS.c.status)),
        ("outrider_node_instances", "Node instances by state", "state", counted(NODE_INSTANCES.c.state)),
        ("outrider_agents", "Agents by state", "state", counted(AGENTS.c.state)),
        (
            "outrider_open_attempts",
            "Attempts without a verdict, by state",
            "state",
            _with_zeros(counted(ATTEMPTS.c.state, ATTEMPTS.c.state != AttemptState.ENDED.value)),
        ),
    ):
        lines += _family(name, "gauge", text, [({label: value}, count) for value, count in rows])
    seen = connection.execute(sa.select(AGENTS.c.id, AGENTS.c.last_seen_at).where(AGENTS.c.last_seen_at.is_not(None)))
    return lines + _family(
        "outrider_agent_last_seen_timestamp_seconds",
        "gauge",
        "When an agent was last heard of",
        [({"agent": row.id}, row.last_seen_at) for row in seen],
    )


def _with_zeros(counted: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return a count for each open state: an alert on "does not fall" needs the zero that it falls to."""
    found = dict(counted)
    return [(each.value, found.get(each.value, 0)) for each in AttemptState if each is not AttemptState.ENDED]


def _family(name: str, kind: str, text: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> list[str]:
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        written = ",".join(f'{key}="{_escaped(value_)}"' for key, value_ in labels.items())
        lines.append(f"{name}{{{written}}} {value}")
    return lines


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
