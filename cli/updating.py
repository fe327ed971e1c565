"""`outrider deployment update`: move a deployment to another blueprint, or to other inputs."""

from __future__ import annotations

import getpass
import hashlib
from pathlib import Path
from typing import Annotated

import typer

from outrider.cli.blueprint import report
from outrider.cli.blueprint import settings as blueprint_settings
from outrider.cli.deployment import Json, Name, UpdateWorkflow
from outrider.cli.exit_codes import ExitCode
from outrider.cli.local import Local, opened
from outrider.cli.logs import configure_logging
from outrider.cli.output import VALUES, fail, key_values
from outrider.cli.planned import print_planned
from outrider.cli.plugin import show_progress
from outrider.cli.run import EXPECTED, conclude, exit_code, watched
from outrider.cli.settings import command_settings
from outrider.dispatcher.blueprint import BlueprintInvalid
from outrider.dispatcher.store.executions import Execution


def update(
    deployment_id: Name,
    blueprint: Annotated[
        str | None, typer.Option("--blueprint", "-b", help="A blueprint's main file, or the id of a stored blueprint.")
    ] = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", "-i", help=f"{VALUES} Others stay as they are.")
    ] = None,
    parameters: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", help=f"For the workflow: {VALUES}")
    ] = None,
    workflow: UpdateWorkflow = None,
    preview: Annotated[bool, typer.Option("--preview", help="Show the operations that would run; run none.")] = False,
    json: Json = False,
) -> None:
    """Move a deployment to another blueprint or to other inputs: only what differs is touched."""
    settings = command_settings()
    configure_logging(settings.connection.log_level, follows=True)
    given = key_values(inputs or (), what="input")
    asked = key_values(parameters or (), what="parameter")
    if workflow is not None:
        asked["workflow_id"] = workflow
    try:
        with opened(settings, with_agent=False if preview else None, progress=None if json else show_progress) as local:
            target = None if blueprint is None else _stored(local, deployment_id, blueprint)
            if preview:
                planned = local.dispatcher.preview_update(
                    deployment_id, blueprint_id=target, inputs=given, parameters=asked
                )
                print_planned(planned, json=json, empty="The update would run no operation.")
                return
            execution = local.dispatcher.update(
                deployment_id,
                blueprint_id=target,
                inputs=given,
                parameters=asked,
                execution=Execution(id="", workflow="update", created_by=getpass.getuser()),
            )
            ended = watched(local, execution, json=json)
            conclude(local, ended, deployment_id, json=json, show_waterfall=False)
    except BlueprintInvalid as invalid:
        report(invalid, json=json)
        raise typer.Exit(ExitCode.BAD_INPUT) from None
    except EXPECTED as error:
        fail(str(error))
    raise typer.Exit(exit_code(ended))


def _stored(local: Local, deployment_id: str, blueprint: str) -> str:
    """Return the id of the blueprint; a file is stored under one that tells its content from earlier ones."""
    path = Path(blueprint)
    if not path.is_file():
        return blueprint
    blueprint_id = f"{deployment_id}-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
    return local.dispatcher.create_blueprint(blueprint_id, path, settings=blueprint_settings()).id
