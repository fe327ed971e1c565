"""`outrider execution …` with a manager: start, list, show, watch, cancel, resume, why."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from outrider.cli import completing
from outrider.cli.execution import SHORT, ExecutionId, Json, full_id
from outrider.cli.exit_codes import ExitCode
from outrider.cli.output import VALUES, console, errors, key_values, print_fields, print_json, print_table
from outrider.cli.remote.client import ManagerClient
from outrider.cli.remote.session import ENDED, connected, moment, seconds_of, watched
from outrider.cli.waterfall import seconds


def start(
    workflow: Annotated[str, typer.Argument(help="install, uninstall, heal ….", metavar="WORKFLOW")],
    deployment: Annotated[
        str, typer.Option("--deployment", "-d", help="Id of the deployment.", autocompletion=completing.deployments)
    ],
    parameters: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", help=f"For the workflow: {VALUES}")
    ] = None,
    queue: Annotated[bool, typer.Option("--queue", help="Wait for the deployment's other executions.")] = False,
    at: Annotated[str | None, typer.Option("--at", help="When: 2026-11-22 23:00, or +10h.")] = None,
    wait: Annotated[bool, typer.Option(help="Follow it until it ends.")] = True,
    json: Json = False,
) -> None:
    """Start a workflow and follow it; the exit code is the execution's."""
    body = {
        "workflow_id": workflow,
        "deployment_id": deployment,
        "parameters": key_values(parameters or (), what="parameter"),
        "queue": queue,
        "scheduled_time": at,
    }
    with connected() as client:
        execution = client.call("POST", "/executions", body=body)
        if wait:
            execution = watched(client, execution, json=json)
    conclude(execution, json=json)


def list_executions(
    deployment: Annotated[
        str | None,
        typer.Option("--deployment", "-d", help="Only those of this one.", autocompletion=completing.deployments),
    ] = None,
    json: Json = False,
) -> None:
    """List executions, the newest last."""
    query = {"_sort": "created_at", **({"deployment_id": deployment} if deployment else {})}
    with connected() as client:
        found = list(client.listed("/executions", query))
    if json:
        print_json(found)
        return
    rows = (
        (
            one["id"][:SHORT],
            one["workflow_id"],
            one["deployment_id"] or "–",
            one["status"],
            f"{one['finished_operations']}/{one['total_operations']}",
            moment(one["started_at"]),
            took(one),
        )
        for one in found
    )
    print_table(
        ("id", "workflow", "deployment", "status", "operations", "started", "took"),
        rows,
        empty="No executions yet. Start one: outrider execution start install -d DEPLOYMENT",
    )


def show(execution_id: ExecutionId, json: Json = False) -> None:
    """Show one execution."""
    with connected() as client:
        one = find(client, execution_id)
    if json:
        print_json(one)
        return
    print_fields(
        {
            "execution": one["id"],
            "workflow": one["workflow_id"],
            "deployment": one["deployment_id"] or "–",
            "status": one["status"],
            "started": moment(one["started_at"]),
            "took": took(one),
            "error": one["error"] or "–",
        }
    )


def watch(execution_id: ExecutionId, json: Json = False) -> None:
    """Follow an execution until it ends; the exit code is the execution's."""
    with connected() as client:
        ended = watched(client, find(client, execution_id), json=json)
    conclude(ended, json=json)


def cancel(
    execution_id: ExecutionId,
    force: Annotated[bool, typer.Option(help="Do not wait for the answers of running operations.")] = False,
    kill: Annotated[bool, typer.Option(help="End running operations without grace.")] = False,
) -> None:
    """Ask for a cancel: nothing new starts, running operations are ended."""
    action = "kill" if kill else "force-cancel" if force else "cancel"
    with connected() as client:
        one = find(client, execution_id)
        client.call("POST", f"/executions/{one['id']}", body={"action": action})
    console.print(f"{action} of {one['id']} asked for")


def resume(
    execution_id: ExecutionId,
    force: Annotated[bool, typer.Option(help="Also try operations again that may have run.")] = False,
    json: Json = False,
) -> None:
    """Let a failed or cancelled execution go on at its operations, and follow it."""
    action = "force-resume" if force else "resume"
    with connected() as client:
        one = find(client, execution_id)
        resumed = client.call("POST", f"/executions/{one['id']}", body={"action": action})
        ended = watched(client, resumed, json=json)
    conclude(ended, json=json)


def why(execution_id: ExecutionId, json: Json = False) -> None:
    """Say what exactly an execution waits for, or what a person has to decide."""
    with connected() as client:
        one = find(client, execution_id)
        found = client.call("GET", f"/outrider/v1/executions/{one['id']}/why")
    if json:
        print_json(found)
        return
    print_table(
        ("what", "waits for"),
        ((each["subject"], each["waits_for"]) for each in found),
        empty=f"It waits for nothing: {one['status']}",
    )


def find(client: ManagerClient, prefix: str) -> dict[str, Any]:
    """Return the execution whose id begins with `prefix`, or end the command."""
    listed = client.listed("/executions", {"_include": "id", "_sort": "created_at"})
    return dict(client.call("GET", f"/executions/{full_id((one['id'] for one in listed), prefix)}"))


def took(execution: dict[str, Any]) -> str:
    """Write how long an execution took, or that it goes on."""
    if execution["started_at"] is None:
        return "–"
    if execution["ended_at"] is None:
        return "…"
    return seconds(seconds_of(execution["ended_at"]) - seconds_of(execution["started_at"]))


def conclude(execution: dict[str, Any], *, json: bool) -> None:
    """Print how an execution stands, and end the command with its exit code."""
    if json:
        print_json(execution)
    elif execution["status"] in ENDED:
        console.print(f"{execution['workflow_id']} {execution['status']} after {took(execution)}")
        if execution["error"]:
            errors.print(execution["error"], markup=False, soft_wrap=True)
    else:
        console.print(f"{execution['workflow_id']} is {execution['status']}: {execution['id']}")
    raise typer.Exit(ENDED.get(execution["status"], ExitCode.SUCCESS))
