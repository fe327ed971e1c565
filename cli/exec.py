"""`outrider exec`: one operation on an agent, or on many at once, now, without a blueprint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from outrider.cli import fan_out
from outrider.cli.chosen_agents import Chosen, NoAgents, choose_living, is_pattern
from outrider.cli.execution import EXIT_CODES
from outrider.cli.exit_codes import ExitCode
from outrider.cli.follow import spans_of
from outrider.cli.local import Local, SourceBuilder, opened
from outrider.cli.logs import configure_logging
from outrider.cli.output import errors, fail, key_values, print_json
from outrider.cli.plugin import show_progress
from outrider.cli.run import EXPECTED, watched
from outrider.cli.settings import command_settings
from outrider.dispatcher.store import attempts
from outrider.dispatcher.store.executions import Execution

#: The plugin's entry, the operation's name, and its inputs.
Operation = tuple[dict[str, Any], str, dict[str, Any]]


def exec_(
    operation: Annotated[
        str, typer.Argument(help="module.function of the plugin, or, without a plugin, a shell command.")
    ],
    on: Annotated[
        list[str] | None,
        typer.Option("--on", help="Agent, or a pattern such as 'web-*'; repeatable. Default, the central one."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every agent on a host that lives.")] = False,
    plugin: Annotated[str | None, typer.Option(help="A known package, or a .py file or folder to build.")] = None,
    version: Annotated[str | None, typer.Option(help="Version of the package, or specifiers: >=1.2,<2")] = None,
    inputs: Annotated[list[str] | None, typer.Option("--input", "-i", help="name=value; repeatable.")] = None,
    timeout: Annotated[float | None, typer.Option(help="End the operation after so many seconds.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Run one operation, or a shell command, on an agent now, or on many at once."""
    settings = command_settings()
    configure_logging(settings.connection.log_level)
    given = key_values(inputs or (), what="input")
    try:
        with opened(settings, progress=None if json else show_progress) as local:
            planned = what_to_run(local, operation, plugin, version, given)
            chosen = chosen_agents(local, on or [], every=every)
            if len(chosen.agents) == 1 and not chosen.silent and not every and on in (None, list(chosen.agents)):
                code = run_on_one(local, chosen.agents[0], planned, timeout=timeout, json=json)
            else:
                outcomes = fan_out.run_on_all(local, chosen, planned, timeout=timeout, json=json)
                fan_out.report(outcomes, json=json)
                code = fan_out.exit_code(outcomes)
    except (*EXPECTED, NoAgents) as error:
        fail(str(error))
    raise typer.Exit(code)


def chosen_agents(local: Local, on: list[str], *, every: bool) -> Chosen:
    """Return the agents that the options mean; raises `NoAgents`."""
    central = local.settings.engine.central_agent
    if not on and not every:
        return Chosen((central,))
    # Without a broker there is no host to be heard of, and the agent of this process is heard at once.
    patient = any(map(is_pattern, on)) or not local.settings.embedded
    return choose_living(local.dispatcher.database, on, every=every, central=central, patient=patient)


def run_on_one(local: Local, agent_id: str, planned: Operation, *, timeout: float | None, json: bool) -> ExitCode:
    """Run it on one agent, shown as any execution is; returns the exit code."""
    entry, name, arguments = planned
    started = local.dispatcher.start_operation(agent_id, entry, name, arguments, timeout=timeout)
    ended = watched(local, started, json=json)
    report(local, ended, json=json)
    return EXIT_CODES.get(ended.status, ExitCode.FAILED)


def what_to_run(
    local: Local, operation: str, plugin: str | None, version: str | None, inputs: dict[str, Any]
) -> Operation:
    """Return the plugin's entry, the operation's name and the inputs."""
    if plugin is None:
        # The script plugin's inline source; its first line keeps it from being taken for Python.
        source = f"#!/bin/sh\n{operation}\n"
        return {"name": "script"}, "script_runner.tasks.run", {"script_source": source, **inputs}
    if Path(plugin).exists():
        path = Path(plugin).resolve()
        builder = SourceBuilder(local.dispatcher.content, local.settings.home.builds, show_progress)
        built = builder({"name": path.stem, "source": path.name}, path.parent)
        return {"name": path.stem, "source": path.name, "built": built}, operation, inputs
    return {"name": plugin, "package_name": plugin, "package_version": version}, operation, inputs


def report(local: Local, execution: Execution, *, json: bool) -> None:
    """Print what the operation returned."""
    with local.dispatcher.database.read() as connection:
        found = attempts.of_execution(connection, execution.id)
    result = dict((found[-1].result or {}) if found else {})
    if json:
        spans = spans_of(local.dispatcher.database, execution)
        print_json(
            {
                "execution": execution.id,
                "status": execution.status.value,
                "value": result.get("value"),
                "error": result.get("error"),
                "seconds": sum(span.ends - span.begins for span in spans),
            }
        )
        return
    if execution.error:
        errors.print(execution.error, markup=False, soft_wrap=True)
    if result.get("value") is not None:
        print_json(result["value"])
