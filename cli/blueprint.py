"""`outrider blueprint …`: check blueprints and look at what Outrider makes of them, without running anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from outrider.cli.catalogue import StoredPlugins
from outrider.cli.output import VALUES, console, errors, fail, key_values, print_json
from outrider.cli.planned import print_planned
from outrider.dispatcher.blueprint import (
    Blueprint,
    BlueprintInvalid,
    Settings,
    json_schema,
    lint,
    load,
    mermaid,
    model_stage,
    nodes_stage,
    prepare_deployment,
    svg,
    text_stage,
)
from outrider.dispatcher.workflows import WorkflowError, get_workflow
from outrider.dispatcher.workflows.preview import planned_operations
from outrider.dispatcher.workflows.records import view_of_plan

BlueprintFile = Annotated[Path, typer.Argument(help="The blueprint's main file.", metavar="BLUEPRINT")]
Inputs = Annotated[list[str] | None, typer.Option("--input", "-i", help=VALUES)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


class StageName(str, Enum):
    """What `show` can show."""

    TEXT = "text"
    NODES = "nodes"
    SECTIONS = "sections"
    MODEL = "model"
    PLAN = "plan"
    DEPLOYMENT = "deployment"


_STAGES: dict[StageName, Callable[[Blueprint], Any]] = {
    StageName.TEXT: text_stage,
    StageName.NODES: nodes_stage,
    StageName.SECTIONS: attrgetter("sections"),
    StageName.MODEL: model_stage,
    StageName.PLAN: attrgetter("plan"),
}


def settings() -> Settings:
    """Return how the command reads blueprints: local files, URLs, and the plugins that it knows."""
    return Settings(allow_http=True, plugins=StoredPlugins())


def read(path: Path, *, json: bool = False) -> Blueprint:
    """Read a blueprint; on mistakes, print all of them and end the command."""
    try:
        return load(path, settings=settings())
    except BlueprintInvalid as invalid:
        report(invalid, json=json)
        raise typer.Exit(2) from None


def report(invalid: BlueprintInvalid, *, json: bool) -> None:
    """Print every mistake."""
    if json:
        print_json({"valid": False, "errors": invalid.to_json()})
    else:
        errors.print(Text(invalid.render()), soft_wrap=True)


def prepare(blueprint: Blueprint, inputs: dict[str, Any], *, json: bool = False) -> dict[str, Any]:
    """Make a deployment plan; on mistakes in the inputs, print all of them and end the command."""
    try:
        return dict(prepare_deployment(blueprint.plan, inputs=inputs))
    except BlueprintInvalid as invalid:
        report(invalid, json=json)
        raise typer.Exit(2) from None


def validate(path: BlueprintFile, json: Json = False) -> None:
    """Say whether a blueprint is sound; every mistake at once, with its place."""
    blueprint = read(path, json=json)
    nodes = len(blueprint.plan["nodes"])
    if json:
        print_json({"valid": True, "nodes": nodes, "errors": []})
    else:
        console.print(f"{path} is valid: {nodes} node template{'s' if nodes != 1 else ''}", soft_wrap=True)


def show(
    path: BlueprintFile,
    stage: Annotated[
        StageName, typer.Option(help="text, nodes (with places), sections, model, plan or deployment.")
    ] = StageName.PLAN,
    inputs: Inputs = None,
) -> None:
    """Print a stage of the blueprint's way to a deployment, as JSON."""
    blueprint = read(path)
    if stage is StageName.DEPLOYMENT:
        print_json(prepare(blueprint, key_values(inputs or (), what="input")))
    else:
        print_json(_STAGES[stage](blueprint))


def plan(
    path: BlueprintFile,
    workflow: Annotated[str, typer.Argument(help="install, uninstall, heal ….")] = "install",
    inputs: Inputs = None,
    parameters: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", help=f"For the workflow: {VALUES}")
    ] = None,
    json: Json = False,
) -> None:
    """Show the operations that a workflow would run: in which order, where, with which plugin."""
    prepared = prepare(read(path, json=json), key_values(inputs or (), what="input"), json=json)
    view = view_of_plan(prepared)
    if workflow != "install":
        # A blueprint alone has nothing installed; the question is about a deployment in which everything is.
        view = replace(view, instances={k: replace(v, state="started") for k, v in view.instances.items()})
    try:
        planned = planned_operations(get_workflow(workflow, key_values(parameters or (), what="parameter"), view), view)
    except WorkflowError as error:
        fail(str(error))
    print_planned(planned, json=json, empty=f"{workflow} would run no operation.")


def lint_(path: BlueprintFile, json: Json = False) -> None:
    """Warn about what is sound but probably not meant: unused inputs, plain secrets, unpinned plugins …"""
    warnings = lint(read(path, json=json))
    if json:
        print_json([warning.to_json() for warning in warnings])
    for warning in () if json else warnings:
        errors.print(Text(warning.render()), soft_wrap=True)
    if not warnings and not json:
        console.print(f"{path}: nothing to warn about", soft_wrap=True)


class Picture(str, Enum):
    """What `graph` can draw."""

    SVG = "svg"
    MERMAID = "mermaid"


def graph(
    path: BlueprintFile,
    picture: Annotated[Picture, typer.Option("--format", help="svg or mermaid.")] = Picture.MERMAID,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File; default, standard output.")] = None,
) -> None:
    """Draw the topology: nodes and their relationships."""
    draw = svg if picture is Picture.SVG else mermaid
    drawn = draw(read(path).plan)
    if output is None:
        console.out(drawn, highlight=False)
    else:
        output.write_text(drawn, encoding="utf-8")
        console.print(f"wrote {output}", soft_wrap=True)


def schema() -> None:
    """Print the language as a JSON Schema, with which editors complete and check blueprints."""
    print_json(json_schema())
