"""`outrider config …`: the settings in force, and where each of them came from."""

from __future__ import annotations

from typing import Annotated

import typer

from outrider.cli.output import print_json, print_table
from outrider.cli.settings import command_settings


def show(json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False) -> None:
    """Print every setting with its origin; passwords in addresses are left out."""
    settings = command_settings()
    values = {"home": settings.home.path, **settings.values()}
    if json:
        print_json({name: {"value": value, "origin": settings.origins[name]} for name, value in values.items()})
        return
    print_table(
        ("setting", "value", "from"),
        ((name, _text(value), settings.origins[name]) for name, value in values.items()),
        empty="",
    )


def _text(value: object) -> str:
    if value is None or value == ():
        return "–"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
