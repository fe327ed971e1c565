"""`outrider secret …` with a manager. A value is read from a prompt, a file or a pipe."""

from __future__ import annotations

from typing import Annotated

import typer

from outrider.cli.output import console, print_json, print_table
from outrider.cli.remote.client import at
from outrider.cli.remote.session import connected, moment
from outrider.cli.secret import Name, ValueFile, read_value


def set_secret(name: Name, file: ValueFile = None) -> None:
    """Store a value, asked for or read from a pipe or a file: never an argument, which everybody could see."""
    value = read_value(name, file)
    with connected() as client:
        client.call("PUT", at("secrets", name), body={"value": value, "update_if_exists": True})
    console.print(f"stored {name}")


def list_secrets(json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False) -> None:
    """List names; values are never shown."""
    with connected() as client:
        found = list(client.listed("/secrets", {"_sort": "key"}))
    if json:
        print_json(found)
        return
    print_table(
        ("name", "visibility", "changed"),
        ((each["key"], each["visibility"], moment(each["updated_at"])) for each in found),
        empty="No secrets yet. Store one: outrider secret set NAME",
    )


def delete(name: Name) -> None:
    """Remove a secret."""
    with connected() as client:
        client.call("DELETE", at("secrets", name))
    console.print(f"removed {name}")
