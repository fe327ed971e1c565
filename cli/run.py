"""`outrider run`: run a workflow of a blueprint here and now, show what happens, tell the result by the exit code."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from outrider.agent.errors import AgentError
from outrider.cli.blueprint import report
from outrider.cli.blueprint import settings as blueprint_settings
from outrider.cli.execution import EXIT_CODES, SHORT, took
from outrider.cli.exit_codes import ExitCode
from outrider.cli.follow import HIDDEN_EVENTS, follow, spans_of
from outrider.cli.interrupt import cancel_on_interrupt
from outrider.cli.local import Local, opened
from outrider.cli.logs import configure_logging
from outrider.cli.output import VALUES, console, errors, fail, key_values, print_fields, print_json, say
from outrider.cli.plugin import show_progress
from outrider.cli.progress import display_for
from outrider.cli.said import lines_of
from outrider.cli.settings import command_settings
from outrider.cli.waterfall import waterfall
from outrider.dispatcher.blueprint import BlueprintInvalid
from outrider.dispatcher.errors import DispatcherError, NotFound
from outrider.dispatcher.files.manifest import changed_files
from outrider.dispatcher.store import blueprints, deployments, progress
from outrider.dispatcher.store.deployments import Deployment
from outrider.dispatcher.store.executions import Execution, Status
from outrider.dispatcher.workflows import WorkflowError
from outrider.messaging.errors import MessagingError
from outrider.plugins.wagons import WagonError

#: Failures that end the command with their text.
EXPECTED = (AgentError, DispatcherError, WorkflowError, WagonError, MessagingError)


def run(
    blueprint: Annotated[Path, typer.Argument(help="The blueprint's main file.", metavar="BLUEPRINT")],
    workflow: Annotated[str, typer.Argument(help="install, uninstall, execute_operation ….")] = "install",
    inputs: Annotated[list[str] | None, typer.Option("--input", "-i", help=VALUES)] = None,
    parameters: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", help=f"For the workflow: {VALUES}")
    ] = None,
    deployment: Annotated[
        str | None, typer.Option("--deployment", "-d", help="Its id; default, the name of the blueprint's folder.")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Sequence everything, run nothing.")] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Run it where its rules forbid it, or another execution has the deployment."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document at the end.")] = False,
    show_waterfall: Annotated[bool, typer.Option("--waterfall", help="Show where the time went.")] = False,
) -> None:
    """Run a workflow of a blueprint, here and now.

    The first workflow makes the deployment from the blueprint and the inputs; later ones find it by its id.
    """
    settings = command_settings()
    configure_logging(settings.connection.log_level, follows=True)
    given = key_values(inputs or (), what="input")
    deployment_id = deployment or blueprint.resolve().parent.name
    try:
        with opened(settings, progress=None if json else show_progress) as local:
            asked = Execution(id="", workflow=workflow, dry_run=dry_run, force=force, created_by=getpass.getuser())
            ensure_deployment(local, blueprint, deployment_id, given, asked)
            execution = local.dispatcher.start(
                workflow, deployment_id, key_values(parameters or (), what="parameter"), execution=asked
            )
            if not json:
                errors.print(f"{workflow} of {deployment_id}: execution {execution.id}, state in {settings.home.path}")
            ended = watched(local, execution, json=json)
            conclude(local, ended, deployment_id, json=json, show_waterfall=show_waterfall)
    except BlueprintInvalid as invalid:
        report(invalid, json=json)
        raise typer.Exit(ExitCode.BAD_INPUT) from None
    except EXPECTED as error:
        fail(str(error))
    raise typer.Exit(exit_code(ended))


def ensure_deployment(
    local: Local, blueprint: Path, deployment_id: str, inputs: Mapping[str, Any], asked: Execution
) -> None:
    """Make the deployment, or find it; inputs of one that exists cannot be changed by running it again.

    Nothing is made for an execution that cannot be started here.
    """
    dispatcher = local.dispatcher
    with dispatcher.database.read() as connection:
        try:
            found = deployments.get(connection, (dispatcher.tenant, deployment_id))
        except NotFound:
            found = None
    if found is None:
        created = dispatcher.create_blueprint(deployment_id, blueprint, settings=blueprint_settings())
        dispatcher.check_hosts(asked, created)
        dispatcher.create_deployment(deployment_id, deployment_id, inputs=inputs)
        return
    unknown = [name for name in inputs if name not in found.inputs]
    if unknown:
        raise DispatcherError(
            f"the blueprint of deployment {deployment_id!r} in {local.settings.home.path} has no input "
            f"{', '.join(map(repr, unknown))}, only {', '.join(sorted(found.inputs)) or 'none'}: is it misspelt? A "
            f"newer blueprint is brought in with: outrider deployment update {deployment_id} --blueprint {blueprint}"
        )
    changed = [name for name, value in inputs.items() if found.inputs.get(name) != value]
    if changed:
        raise DispatcherError(
            f"deployment {deployment_id!r} exists in {local.settings.home.path} with other values of "
            f"{', '.join(changed)}: "
            f"change them (outrider deployment update {deployment_id}), or choose another with --deployment"
        )
    tell_of_changes(local, found, blueprint)


def tell_of_changes(local: Local, deployment: Deployment, path: Path) -> None:
    """Say that files were edited since the deployment was made of them: it keeps those that it was made of."""
    dispatcher = local.dispatcher
    with dispatcher.database.read() as connection:
        kept = blueprints.get(connection, deployment.tenant, deployment.blueprint_id)
    name, main_file = path.resolve(), Path(kept.main_file)
    if kept.resources is None or name.parts[-len(main_file.parts) :] != main_file.parts:
        changed = [str(path)]
    else:
        changed = changed_files(dispatcher.content, kept.resources, name.parents[len(main_file.parts) - 1])
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        errors.print(
            f"{deployment.id} keeps the blueprint that it was made of, in which {changed[0]}{more} was different; "
            f"to change it: outrider deployment update {deployment.id} --blueprint {path}",
            markup=False,
            soft_wrap=True,
        )


def watched(local: Local, execution: Execution, *, json: bool, after: int = 0) -> Execution:
    """Show the execution until it ends, from the event `after` on; Ctrl-C asks for a cancel, a second one forces it."""
    cancel = partial(local.dispatcher.cancel, decided_by=getpass.getuser())
    # Callers print the outcome, of which this would be the first half.
    hidden = HIDDEN_EVENTS | {"workflow_failed"}
    with cancel_on_interrupt(cancel, (execution.id,)), display_for(console, json=json) as display:
        return follow(local.dispatcher.database, execution.id, display, after=after, hidden=hidden)


def conclude(local: Local, execution: Execution, deployment_id: str, *, json: bool, show_waterfall: bool) -> None:
    """Print the outcome."""
    outputs = local.dispatcher.outputs(deployment_id)
    spans = spans_of(local.dispatcher.database, execution)
    if json:
        print_json({**asdict(execution), "outputs": outputs, "attempts": [asdict(span) for span in spans]})
        return
    console.print(f"{execution.workflow} {execution.status.value} after {took(execution)}")
    if execution.error:
        errors.print(execution.error, markup=False, soft_wrap=True)
    if execution.status is not Status.TERMINATED and _left_words(local, execution):
        say(f"tracebacks and output: outrider execution show {execution.id[:SHORT]}")
    if outputs:
        console.print("outputs:")
        print_fields({f"  {name}": value for name, value in outputs.items()})
    if show_waterfall:
        console.print()
        console.print(waterfall(spans, width=console.width))


def _left_words(local: Local, execution: Execution) -> bool:
    """Whether operations that failed left a traceback or output."""
    with local.dispatcher.database.read() as connection:
        return any(lines_of(progress.said(connection, execution.id), everything=False))


def exit_code(execution: Execution) -> ExitCode:
    """Return what the exit code tells of an execution."""
    return EXIT_CODES.get(execution.status, ExitCode.FAILED)
