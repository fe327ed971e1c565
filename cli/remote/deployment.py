"""`outrider deployment …` with a manager."""

from __future__ import annotations

from typing import Annotated

import typer

from outrider.cli import completing
from outrider.cli.deployment import Json, Name, UpdateWorkflow
from outrider.cli.output import VALUES, console, key_values, print_fields, print_json, print_table
from outrider.cli.remote.client import at
from outrider.cli.remote.execution import conclude
from outrider.cli.remote.session import connected, moment, watched

_BLUEPRINT = typer.Option(
    "--blueprint", "-b", help="Id of an uploaded blueprint.", autocompletion=completing.blueprints
)
BlueprintOf = Annotated[str, _BLUEPRINT]
BlueprintOrNone = Annotated[str | None, _BLUEPRINT]
Inputs = Annotated[list[str] | None, typer.Option("--input", "-i", help=VALUES)]


def create(
    deployment_id: Annotated[str, typer.Argument(help="Id of the new deployment.", metavar="DEPLOYMENT")],
    blueprint: BlueprintOf,
    inputs: Inputs = None,
    json: Json = False,
) -> None:
    """Make a deployment of a blueprint; nothing is installed yet."""
    body = {"blueprint_id": blueprint, "inputs": key_values(inputs or (), what="input")}
    with connected() as client:
        made = client.call("PUT", at("deployments", deployment_id), body=body)
    if json:
        print_json(made)
    else:
        console.print(f"made {deployment_id}; next: outrider execution start install -d {deployment_id}")


def list_deployments(json: Json = False) -> None:
    """List deployments with the states of their instances."""
    with connected() as client:
        found = list(client.listed("/deployments", {"_sort": "created_at"}))
    if json:
        print_json(found)
        return
    rows = (
        (
            each["id"],
            each["blueprint_id"],
            ", ".join(f"{count} {state}" for state, count in each["instance_states"].items()),
            moment(each["created_at"]),
        )
        for each in found
    )
    print_table(
        ("deployment", "blueprint", "instances", "made"),
        rows,
        empty="No deployments yet. Make one: outrider deployment create NAME -b BLUEPRINT",
    )


def show(deployment_id: Name, json: Json = False) -> None:
    """Show a deployment's instances with their runtime properties."""
    with connected() as client:
        deployment = client.call("GET", at("deployments", deployment_id))
        instances = list(client.listed("/node-instances", {"deployment_id": deployment_id}))
    if json:
        print_json({**deployment, "instances": instances})
        return
    shown = ("blueprint_id", "installation_status", "latest_execution_status", "inputs")
    print_fields({"deployment": deployment_id, **{name.replace("_", " "): deployment[name] for name in shown}})
    console.print()
    print_table(
        ("instance", "state", "runtime properties"),
        (
            (each["id"], each["state"], "\n".join(f"{k} = {v}" for k, v in each["runtime_properties"].items()))
            for each in instances
        ),
        empty="It has no instances.",
    )


def outputs(deployment_id: Name, json: Json = False) -> None:
    """Print a deployment's outputs, evaluated now."""
    with connected() as client:
        found = client.call("GET", at("deployments", deployment_id, "outputs"))["outputs"]
    if json:
        print_json(found)
    else:
        print_fields(found)


def update(
    deployment_id: Name,
    blueprint: BlueprintOrNone = None,
    inputs: Inputs = None,
    workflow: UpdateWorkflow = None,
    json: Json = False,
) -> None:
    """Move a deployment to another blueprint or to other inputs, and follow it."""
    body = {"blueprint_id": blueprint, "inputs": key_values(inputs or (), what="input"), "workflow_id": workflow}
    with connected() as client:
        begun = client.call("POST", at("deployment-updates", deployment_id, "update", "initiate"), body=body)
        execution = client.call("GET", f"/executions/{begun['execution_id']}")
        ended = watched(client, execution, json=json)
    conclude(ended, json=json)


def delete(
    deployment_id: Name,
    force: Annotated[bool, typer.Option("--force", "-f", help="Although instances are installed.")] = False,
) -> None:
    """Delete a deployment's record; what it installed has to be uninstalled before."""
    with connected() as client:
        client.call("DELETE", at("deployments", deployment_id), query={"force": str(force)})
    console.print(f"deleted {deployment_id}")
