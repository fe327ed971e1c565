"""`outrider exec`: one operation on an agent, or on many at once, now, without a blueprint."""

from __future__ import annotations

from typing import Annotated

import typer


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
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input", "-i", help="name=value, or a YAML or JSON file of such; repeatable, the last one counts."
        ),
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="End the operation after so many seconds.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Run one operation, or a shell command, on an agent now, or on many at once."""
    # Its help needs none of that.
    from outrider.cli.executing import Asked, execute

    asked = Asked(operation, plugin, version, inputs or [], timeout)
    raise typer.Exit(execute(asked, on or [], every=every, json=json))
