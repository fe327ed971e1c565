"""`outrider deployment …`: what was made from blueprints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from typing import Annotated

import typer

from outrider.cli import completing
from outrider.cli.execution import moment
from outrider.cli.output import console, fail, print_fields, print_json, print_table
from outrider.cli.stores import open_database
from outrider.dispatcher.errors import DispatcherError
from outrider.dispatcher.outputs import evaluated
from outrider.dispatcher.store import deployments, instances
from outrider.dispatcher.workflows import InstanceView

TENANT = "default_tenant"
Name = Annotated[
    str, typer.Argument(help="Id of the deployment.", metavar="DEPLOYMENT", autocompletion=completing.deployments)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
UpdateWorkflow = Annotated[
    str | None,
    typer.Option("--workflow", "-w", help="A workflow of the new blueprint that takes the update's own steps."),
]


def list_deployments(json: Json = False) -> None:
    """List deployments with the states of their instances."""
    with closing(open_database()) as database, database.read() as connection:
        found = deployments.listed(connection, TENANT)
        states = {each.id: _states(instances.of_deployment(connection, each.key).values()) for each in found}
    if json:
        print_json([{"id": each.id, "created_at": each.created_at, "instances": states[each.id]} for each in found])
        return
    print_table(
        ("deployment", "blueprint", "instances", "made"),
        (
            (
                each.id,
                each.blueprint_id,
                ", ".join(f"{n} {state}" for state, n in states[each.id].items()),
                moment(each.created_at),
            )
            for each in found
        ),
        empty="No deployments yet. Make one: outrider run blueprint.yaml",
    )


def _states(found: Iterable[InstanceView]) -> dict[str, int]:
    return dict(Counter(instance.state for instance in found))


def show(deployment_id: Name, json: Json = False) -> None:
    """Show a deployment's instances with their runtime properties."""
    with closing(open_database()) as database, database.read() as connection:
        try:
            deployment = deployments.get(connection, (TENANT, deployment_id))
        except DispatcherError as error:
            fail(str(error))
        found = instances.of_deployment(connection, deployment.key)
    if json:
        print_json({"id": deployment.id, "inputs": deployment.inputs, "instances": [asdict(i) for i in found.values()]})
        return
    print_fields({"deployment": deployment.id, "blueprint": deployment.blueprint_id, "inputs": dict(deployment.inputs)})
    console.print()
    print_table(
        ("instance", "state", "runtime properties"),
        (
            (each.id, each.state, "\n".join(f"{k} = {v}" for k, v in each.runtime_properties.items()))
            for each in found.values()
        ),
        empty="It has no instances.",
    )


def outputs(deployment_id: Name, json: Json = False) -> None:
    """Print a deployment's outputs, evaluated now."""
    with closing(open_database()) as database, database.read() as connection:
        try:
            found = evaluated(connection, (TENANT, deployment_id), "outputs")
        except DispatcherError as error:
            fail(str(error))
    if json:
        print_json(found)
    else:
        print_fields(found)


def delete(
    deployment_id: Name,
    force: Annotated[bool, typer.Option("--force", "-f", help="Although instances are installed.")] = False,
) -> None:
    """Delete a deployment's record; what it installed has to be uninstalled before."""
    with closing(open_database()) as database:
        try:
            with database.begin() as connection:
                deployments.delete(connection, (TENANT, deployment_id), force=force)
        except DispatcherError as error:
            fail(str(error))
    console.print(f"deleted {deployment_id}")
