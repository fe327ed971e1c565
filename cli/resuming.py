"""`outrider execution resume|why|decide`: what to do about an execution that stopped, or does not go on."""

from __future__ import annotations

import getpass
import json as json_module
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.text import Text

from outrider.cli.execution import EXIT_CODES, SHORT, find, took
from outrider.cli.exit_codes import ExitCode
from outrider.cli.local import opened
from outrider.cli.logs import configure_logging
from outrider.cli.output import VALUES, console, errors, fail, key_values, print_json, print_table
from outrider.cli.run import EXPECTED, watched
from outrider.cli.settings import command_settings
from outrider.cli.stores import open_database
from outrider.dispatcher import why as explaining
from outrider.dispatcher.errors import DispatcherError, UnknownInputs
from outrider.dispatcher.store import events, ownership, tasks
from outrider.dispatcher.store.executions import Execution
from outrider.dispatcher.store.tasks import DecisionKind
from outrider.dispatcher.why import Reason

ExecutionId = Annotated[str, typer.Argument(help="Id of the execution, or its first characters.", metavar="ID")]


def resume(
    execution_id: ExecutionId,
    force: Annotated[bool, typer.Option(help="Also try operations again that may have run.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document at the end.")] = False,
) -> None:
    """Let a failed or cancelled execution go on at its operations, and follow it."""
    settings = command_settings()
    configure_logging(settings.connection.log_level, follows=True)
    with closing(open_database()) as database:
        full_id = find(database, execution_id).id
        with database.read() as connection:
            shown = events.last_id(connection, full_id)
    try:
        with opened(settings) as local:
            resumed = local.dispatcher.resume(full_id, force=force, decided_by=getpass.getuser())
            ended = watched(local, resumed, json=json, after=shown)
    except EXPECTED as error:
        fail(str(error))
    if json:
        print_json(asdict(ended))
    else:
        console.print(f"{ended.workflow} {ended.status.value} after {took(ended)}")
        if ended.error:
            errors.print(ended.error, markup=False, soft_wrap=True)
    raise typer.Exit(EXIT_CODES.get(ended.status, ExitCode.FAILED))


def why(
    execution_id: ExecutionId,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say what exactly an execution waits for, or what a person has to decide."""
    settings = command_settings()
    with closing(open_database()) as database:
        execution = find(database, execution_id)
        with database.read() as connection:
            now = database.now(connection)
            reasons = explaining.why(connection, execution.id, settings.engine, now=now)
            alive = [member for member in ownership.members(connection) if member.lease_until > now]
    if json:
        print_json([asdict(reason) for reason in reasons])
        return
    if not execution.ended and not alive:
        console.print(
            "No dispatcher is running: nothing goes on until one is started "
            f"(outrider dispatcher run, or outrider execution resume {execution.id[:8]} after a cancel)."
        )
    if execution.ended and reasons:
        _show_choices(execution, reasons)
        return
    print_table(
        ("what", "instance", "waits for"),
        ((reason.operation or reason.subject, reason.instance or "–", reason.waits_for) for reason in reasons),
        empty=f"It waits for nothing: it is {execution.status.value}.",
    )


def _show_choices(execution: Execution, reasons: Sequence[Reason]) -> None:
    """Print what a person can decide, as commands to copy: each id on a line of its own, never folded."""
    for reason in reasons:
        console.print(
            Text(f"{reason.operation or reason.subject} of {reason.instance or '–'} waits for {reason.waits_for}"),
            soft_wrap=True,
        )
        console.print(
            Text(f"  outrider execution decide {reason.subject} retry|done|skip [-i name=value]"), soft_wrap=True
        )
    console.print(Text(f"then: outrider execution resume {execution.id[:SHORT]}"))


def decide(
    task_id: Annotated[str, typer.Argument(help="Id of the operation, as `why` shows it.", metavar="OPERATION")],
    decision: Annotated[DecisionKind, typer.Argument(help="What the next resume does about it.")],
    inputs: Annotated[list[str] | None, typer.Option("--input", "-i", help=f"Replaces an input: {VALUES}")] = None,
    allow_new_inputs: Annotated[
        bool, typer.Option("--allow-new-inputs", help="Also those that the plan does not have for the operation.")
    ] = False,
) -> None:
    """Decide about an operation that failed or may have run: retry it, take it as done, or skip it."""
    settings = command_settings()
    try:
        with closing(open_database()) as database, database.read() as connection:
            task = tasks.get(connection, task_id)
        given: dict[str, Any] | None = key_values(inputs, what="input") if inputs else None
        with opened(settings, with_agent=False) as local:
            local.dispatcher.decide(
                task_id, decision, inputs=given, allow_new_inputs=allow_new_inputs, decided_by=getpass.getuser()
            )
    except UnknownInputs as error:
        fail(f"{error}; if its function takes more, say so with --allow-new-inputs")
    except DispatcherError as error:
        fail(str(error))
    changed = f", with {json_module.dumps(given)}" if given else ""
    console.print(
        f"{task.task.operation} of {task.task.instance}: {decision.value}{changed}; "
        f"then: outrider execution resume {task.execution_id[:SHORT]}",
        soft_wrap=True,
    )
