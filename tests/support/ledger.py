"""Blueprints whose operations keep a ledger (`ledger_plugin`), and the promises as checks of that ledger."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from outrider.dispatcher.store.attempts import Attempt
from outrider.dispatcher.store.events import Event
from outrider.messaging.messages import Verdict

PLUGIN = Path(__file__).parent / "ledger_plugin.py"

_HEAD = """\
tosca_definitions_version: cloudify_dsl_1_3

imports:
  - cloudify/types/types.yaml

plugins:
  ledger:
    executor: central_deployment_agent
    source: ledger_plugin.py

node_types:
  ledger.nodes.Unit:
    derived_from: cloudify.nodes.Root
    properties:
      number: {type: integer}
      failures: {type: integer, default: 0}
    interfaces:
      cloudify.interfaces.lifecycle:
        create:
          implementation: ledger.ledger_plugin.create
          inputs:
            folder: {default: "%(folder)s"}
            number: {default: {get_property: [SELF, number]}}
            failures: {default: {get_property: [SELF, failures]}}
      test:
        look: ledger.ledger_plugin.look

node_templates:
"""


@dataclass(frozen=True)
class Line:
    """One line of the ledger."""

    what: str
    attempt_id: str


@dataclass(frozen=True)
class Ledger:
    """The folder in which the operations write, and are held."""

    folder: Path
    size: int
    #: Number → how often that operation fails before it succeeds.
    failures: Mapping[int, int] = field(default_factory=dict)

    def blueprint(self) -> Path:
        """Write a blueprint of `size` operations; all but the first tenth wait for one of the first."""
        source = self.folder / "blueprint"
        source.mkdir(parents=True)
        shutil.copy(PLUGIN, source)
        roots = max(1, self.size // 10)
        parts = [_HEAD % {"folder": self.folder}]
        for number in range(self.size):
            parts.append(f"  unit-{number}:\n    type: ledger.nodes.Unit\n    properties:\n      number: {number}\n")
            parts.append(f"      failures: {self.failures.get(number, 0)}\n")
            if number >= roots:
                relation = f"type: cloudify.relationships.depends_on, target: unit-{number % roots}"
                parts.append(f"    relationships:\n      - {{{relation}}}\n")
        path = source / "blueprint.yaml"
        path.write_text("".join(parts))
        return path

    def hold(self, numbers: Iterable[int]) -> None:
        """Let these operations wait after their *begin*."""
        for number in numbers:
            (self.folder / f"hold-{number}").touch()

    def release(self) -> None:
        """Let all go on."""
        for path in self.folder.glob("hold-*"):
            path.unlink()

    def lines(self) -> list[Line]:
        """Return what was written, in the order in which it was."""
        path = self.folder / "ledger"
        return [Line(*line.split()) for line in path.read_text().splitlines()] if path.exists() else []

    def count(self, what: str) -> int:
        """Return the number of lines of one kind."""
        return sum(line.what == what for line in self.lines())

    def held(self) -> int:
        """Return how many operations are held: they run, and wait."""
        lines = self.lines()
        ended = {line.attempt_id for line in lines if line.what == "end"}
        return sum(line.what == "held" and line.attempt_id not in ended for line in lines)


def broken_promises(lines: Sequence[Line], recorded: Collection[Attempt]) -> list[str]:
    """Compare the ledger with the verdicts; returns every contradiction."""
    begun = Counter(line.attempt_id for line in lines if line.what == "begin")
    ended = Counter(line.attempt_id for line in lines if line.what == "end")
    known = {attempt.id for attempt in recorded}
    found = [f"attempt {name} ran, and no attempt of this id is recorded" for name in begun if name not in known]
    for attempt in recorded:
        runs = begun[attempt.id]
        if runs > 1:
            found.append(f"attempt {attempt.id} ran {runs} times")
        if attempt.verdict is None:
            found.append(f"attempt {attempt.id} has no verdict (state {attempt.state.value})")
        if attempt.verdict is Verdict.SUCCEEDED and (runs, ended[attempt.id]) != (1, 1):
            found.append(f"attempt {attempt.id} reports success; it began {runs} and ended {ended[attempt.id]} times")
        if attempt.verdict is Verdict.NEVER_STARTED and runs:
            found.append(f"attempt {attempt.id} ran, and is reported never started")
    return found + _overlaps(lines, recorded)


def _overlaps(lines: Sequence[Line], recorded: Collection[Attempt]) -> list[str]:
    """Return attempts that began while another one of their task ran; one that never ended was killed on the way."""
    places: dict[str, dict[str, int]] = defaultdict(dict)
    for place, line in enumerate(lines):
        places[line.attempt_id].setdefault(line.what, place)
    by_task: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in recorded:
        if attempt.id in places:
            by_task[attempt.task_id].append(attempt)
    found = []
    for attempts in by_task.values():
        attempts.sort(key=lambda each: each.number)
        for earlier, later in zip(attempts, attempts[1:], strict=False):
            end, begin = places[earlier.id].get("end"), places[later.id]["begin"]
            if end is not None and end > begin:
                found.append(f"attempt {later.id} began before {earlier.id} had ended")
    return found


def wrong_log_lines(events: Iterable[Event], recorded: Collection[Attempt], *, lines: int = 3) -> list[str]:
    """Return the log lines of successful attempts that are lost, doubled, or out of order."""
    said: dict[str, list[str]] = defaultdict(list)
    for event in sorted(
        (each for each in events if each.level and each.attempt_id), key=lambda each: each.sequence or 0
    ):
        if event.message.startswith(("before ", "after ")):
            said[event.attempt_id or ""].append(event.message)
    found = []
    for attempt in recorded:
        if attempt.verdict is Verdict.SUCCEEDED:
            wanted = [f"{when} {line} of {attempt.id}" for when in ("before", "after") for line in range(lines)]
            if said[attempt.id] != wanted:
                found.append(f"attempt {attempt.id} logged {wanted}; recorded is {said[attempt.id]}")
    return found
