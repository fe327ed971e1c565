"""`outrider execution …`: list, show, watch, cancel and resume executions, from any terminal, through the store."""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from outrider.cli import completing
from outrider.cli.exit_codes import ExitCode
from outrider.cli.follow import follow, spans_of
from outrider.cli.home import find_home
from outrider.cli.output import console, fail, print_fields, print_json, print_table
from outrider.cli.progress import display_for
from outrider.cli.said import lines_of
from outrider.cli.stores import open_database
from outrider.cli.waterfall import seconds, waterfall
from outrider.dispatcher import wishes
from outrider.dispatcher.doorbell import For, ring
from outrider.dispatcher.errors import DispatcherError
from outrider.dispatcher.store import decisions, executions, progress
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.executions import Cancel, Execution, Status

ExecutionId = Annotated[
    str,
    typer.Argument(
        help="Id of the execution, or its first characters.", metavar="ID", autocompletion=completing.executions
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

#: Characters of an id that lists show; commands take as many as make it clear.
SHORT = 8

EXIT_CODES = {
    Status.TERMINATED: ExitCode.SUCCESS,
    Status.FAILED: ExitCode.FAILED,
    Status.CANCELLED: ExitCode.CANCELLED,
}


def find(database: Database, prefix: str) -> Execution:
    """Return the execution whose id begins with `prefix`, or end the command."""
    with database.read() as connection:
        known = {one.id: one for one in executions.listed(connection)}
    return known[full_id(known, prefix)]


def full_id(ids: Iterable[str], prefix: str) -> str:
    """Return the one of the executions' ids that begins with `prefix`, or end the command."""
    if not prefix:
        fail("the execution's id is empty; see: outrider execution list")
    found = [one for one in ids if one.startswith(prefix)]
    if len(found) != 1:
        what = "no execution has" if not found else f"{len(found)} executions have"
        fail(f"{what} an id that begins with {prefix!r}; see: outrider execution list")
    return found[0]


def moment(time: float | None) -> str:
    """Write a moment as local date and time."""
    return "–" if time is None else datetime.fromtimestamp(time, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def took(execution: Execution) -> str:
    """Write how long an execution took, or that it goes on."""
    if execution.started_at is None:
        return "–"
    return "…" if execution.ended_at is None else seconds(execution.ended_at - execution.started_at)


def list_executions(
    deployment: Annotated[
        str | None,
        typer.Option("--deployment", "-d", help="Only those of this one.", autocompletion=completing.deployments),
    ] = None,
    json: Json = False,
) -> None:
    """List executions, the newest last."""
    with closing(open_database()) as database, database.read() as connection:
        found = executions.listed(connection)
    if deployment is not None:
        found = [one for one in found if one.deployment_id == deployment]
    found.sort(key=lambda one: one.created_at)
    if json:
        print_json([asdict(one) for one in found])
        return
    print_table(
        ("id", "workflow", "deployment", "status", "operations", "started", "took"),
        (
            (
                one.id[:SHORT],
                one.workflow,
                one.deployment_id or "–",
                one.status.value,
                f"{one.finished_operations}/{one.total_operations}",
                moment(one.started_at),
                took(one),
            )
            for one in found
        ),
        empty="No executions yet. Start one: outrider run blueprint.yaml",
    )


def show(
    execution_id: ExecutionId,
    output: Annotated[
        bool,
        typer.Option("--output", help="Show all that is kept of what operations printed, not only of failed ones."),
    ] = False,
    json: Json = False,
) -> None:
    """Show one execution: where the time of its operations went, and what those that failed left behind."""
    with closing(open_database()) as database:
        execution = find(database, execution_id)
        spans = spans_of(database, execution)
        with database.read() as connection:
            decided = decisions.of_execution(connection, execution.id)
            said = progress.said(connection, execution.id)
    if json:
        attempts, decided_by, left = ([asdict(each) for each in found] for found in (spans, decided, said))
        print_json({**asdict(execution), "attempts": attempts, "decisions": decided_by, "said": left})
        return
    print_fields(
        {
            "execution": execution.id,
            "workflow": execution.workflow,
            "deployment": execution.deployment_id or "–",
            "status": execution.status.value,
            "started": moment(execution.started_at),
            "took": took(execution),
            "error": execution.error or "–",
        }
    )
    for decision in decided:
        about = f" {decision.task_id}" if decision.task_id else ""
        console.print(
            f"{moment(decision.decided_at)}  {decision.decided_by}: {decision.decision}{about}", soft_wrap=True
        )
    console.print()
    console.print(waterfall(spans, width=console.width))
    for line in lines_of(said, everything=output):
        console.print(line, markup=False, soft_wrap=True)


def watch(execution_id: ExecutionId) -> None:
    """Follow an execution until it ends; the exit code is the execution's."""
    with closing(open_database()) as database:
        execution = find(database, execution_id)
        with display_for(console, json=False) as display:
            try:
                execution = follow(database, execution.id, display)
            except KeyboardInterrupt:
                console.print(
                    f"It goes on without this terminal; stop it with: outrider execution cancel {execution.id}"
                )
                raise typer.Exit(ExitCode.SUCCESS) from None
    console.print(f"{execution.workflow} {execution.status.value} after {took(execution)}")
    raise typer.Exit(EXIT_CODES[execution.status])


def cancel(
    execution_id: ExecutionId,
    force: Annotated[bool, typer.Option(help="Do not wait for the answers of running operations.")] = False,
    kill: Annotated[bool, typer.Option(help="End running operations without grace.")] = False,
) -> None:
    """Ask for a cancel: nothing new starts, running operations are ended."""
    how = Cancel.KILL if kill else Cancel.FORCE if force else Cancel.NORMAL
    user = getpass.getuser()
    with closing(open_database()) as database:
        execution = find(database, execution_id)
        try:
            wishes.cancel(database, execution.id, how, decided_by=user)
        except DispatcherError as error:
            fail(str(error))
    ring(find_home().bells, For.DISPATCHERS)
    console.print(f"{how.value} of {execution.id} asked for by {user}")
