"""Puts the commands about files, which need no manager, beside those that speak to one."""

from __future__ import annotations

from collections.abc import Collection

import typer


def adopt(app: typer.Typer, local: typer.Typer, names: Collection[str]) -> None:
    """Add the named commands of a local group."""
    for command in local.registered_commands:
        name = command.name or (command.callback.__name__.replace("_", "-") if command.callback else "")
        if name in names:
            app.registered_commands.append(command)
