"""One operation on many agents: their output as it comes, each line with its agent's name, and a table at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.text import Text

from outrider.cli.chosen_agents import Chosen
from outrider.cli.exit_codes import ExitCode
from outrider.cli.follow import HOLD_SECONDS, LAST_POLL_SECONDS, PAGE, POLL_SECONDS, LastLines
from outrider.cli.interrupt import cancel_on_interrupt
from outrider.cli.output import console, errors, print_json, print_table
from outrider.cli.progress import LEVEL_STYLES
from outrider.cli.sequencing import Operation, Sequencing
from outrider.cli.waterfall import seconds
from outrider.dispatcher.store import attempts, events, executions
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.events import Event
from outrider.dispatcher.store.executions import Execution, Status

SILENT = "silent"
#: The script plugin marks what a script printed; the agent's name in front of the line is mark enough.
_MARKS = ("<out> ", "<err> ")
_STYLES = {"succeeded": "green", "cancelled": "yellow", SILENT: "yellow"}


@dataclass(frozen=True)
class AgentOutcome:
    """How the operation ended on one agent."""

    agent: str
    #: The attempt's verdict, ``cancelled``, or ``silent``: the agent is not heard of, so it was sent nothing.
    outcome: str
    exit_code: int | None = None
    seconds: float | None = None
    value: Any = None
    error: str | None = None
    execution: str | None = None


def run_on_all(work: Sequencing, chosen: Chosen, operation: Operation, *, json: bool) -> list[AgentOutcome]:
    """Start the operation on every agent, follow all of them to their end; return one outcome per agent."""
    started = work.start(chosen.agents, operation)
    names = {execution.id: agent for execution, agent in zip(started, chosen.agents, strict=True)}
    with cancel_on_interrupt(work.cancel, tuple(names)):
        ended = _followed(work, names, OutputLines(names, silent=json))
    outcomes = [_outcome(work.database, ended[execution_id], agent) for execution_id, agent in names.items()]
    outcomes += [AgentOutcome(agent, SILENT, error="not heard of lately; nothing was sent") for agent in chosen.silent]
    return outcomes


class OutputLines:
    """Prints what operations log, in the order in which it happened, with the agent's name before each line."""

    def __init__(self, names: Mapping[str, str], *, silent: bool) -> None:
        self._names = names
        self._width = max(map(len, names.values()), default=0)
        self._silent = silent
        self._held: list[Event] = []

    def add(self, found: Sequence[Event]) -> None:
        """Take what was recorded; events about the execution itself are left to the table."""
        self._held += [event for event in found if event.level is not None]

    def show(self, *, until: float) -> None:
        """Print what was stored before `until`."""
        ready = sorted((event for event in self._held if event.stored_at <= until), key=lambda each: each.happened_at)
        self._held = [event for event in self._held if event.stored_at > until]
        for event in ready if not self._silent else ():
            text = event.message
            for mark in _MARKS:
                text = text.removeprefix(mark)
            head = Text(f"{self._names[event.execution_id or '']:<{self._width}}  ", style="cyan")
            console.print(head.append(Text(text, style=LEVEL_STYLES.get(event.level or "", ""))), soft_wrap=True)


def _followed(work: Sequencing, names: Mapping[str, str], lines: OutputLines) -> dict[str, Execution]:
    """Return the executions once all have ended. Each ends: a verdict comes within the engine's bounds."""
    last_event, ended, last_lines = 0, dict[str, Execution](), LastLines(tuple(names))
    while True:
        with work.database.read() as connection:
            # Status before output: what is recorded before the end is shown before the end.
            ended |= executions.ended_of(connection, names.keys() - ended.keys())
            now = work.database.now(connection)
            over = len(ended) == len(names) and last_lines.there(connection, now)
            page = events.after(connection, last_event, execution_ids=tuple(names), limit=PAGE)
        if page:
            last_event = page[-1].id
            lines.add(page)
        if len(page) == PAGE:
            continue
        lines.show(until=float("inf") if over else now - HOLD_SECONDS)
        if over:
            return ended
        if len(ended) == len(names):
            time.sleep(LAST_POLL_SECONDS)
        else:
            work.pause(POLL_SECONDS)


def _outcome(database: Database, execution: Execution, agent: str) -> AgentOutcome:
    with database.read() as connection:
        found = attempts.of_execution(connection, execution.id)
    last = found[-1] if found else None
    result = dict((last.result or {}) if last is not None else {})
    error = result.get("error") or {}
    succeeded = execution.status is Status.TERMINATED
    verdict = execution.status.value if last is None or last.verdict is None else last.verdict.value
    return AgentOutcome(
        agent=agent,
        outcome=verdict.replace("_", " "),
        exit_code=0 if succeeded else error.get("exit_code"),
        seconds=(execution.ended_at or execution.created_at) - execution.created_at,
        value=result.get("value"),
        error=None if succeeded else error.get("message") or execution.error,
        execution=execution.id,
    )


def report(outcomes: Sequence[AgentOutcome], *, json: bool) -> None:
    """Print the table, and why it failed where no exit code tells; or all of it as one JSON document."""
    if json:
        print_json([asdict(each) for each in outcomes])
        return
    for each in outcomes:
        if each.value is not None:
            console.print(Text(f"{each.agent} returned ").append(str(each.value)), soft_wrap=True)
        if each.error is not None and each.exit_code is None:
            errors.print(Text(f"{each.agent}: {each.error}", style="red"), soft_wrap=True)
    rows = [
        (
            each.agent,
            Text(each.outcome, style=_STYLES.get(each.outcome, "red")),
            "–" if each.exit_code is None else each.exit_code,
            "–" if each.seconds is None else seconds(each.seconds),
        )
        for each in outcomes
    ]
    console.print()
    print_table(("agent", "outcome", "exit code", "took"), rows, empty="")


def exit_code(outcomes: Sequence[AgentOutcome]) -> ExitCode:
    """Return success only if it succeeded everywhere; a failure somewhere weighs more than a cancel."""
    ended = {each.outcome for each in outcomes}
    if ended <= {"succeeded"}:
        return ExitCode.SUCCESS
    return ExitCode.CANCELLED if ended <= {"succeeded", "cancelled"} else ExitCode.FAILED
