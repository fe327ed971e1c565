"""`outrider secret …`: values that operations use and nobody reads. A value is read from a prompt, a file or a pipe."""

from __future__ import annotations

import getpass
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from outrider.cli import completing
from outrider.cli.output import console, fail, print_json, print_table
from outrider.cli.stores import open_database, open_secrets
from outrider.dispatcher.secrets import SecretError, SecretInfo

TENANT = "default_tenant"
Name = Annotated[
    str, typer.Argument(help="What get_secret calls it.", metavar="NAME", autocompletion=completing.secrets)
]


ValueFile = Annotated[Path | None, typer.Option("--file", "-f", exists=True, help="Read the value from here.")]


def read_value(name: str, file: Path | None) -> str:
    """Return a secret's value from a file, a prompt or a pipe; ends the command if there is none."""
    if file is None and sys.stdin.isatty():
        value = getpass.getpass(f"value of {name}: ")
    else:
        content = sys.stdin.buffer.read() if file is None else file.read_bytes()
        try:
            value = content.decode("utf-8")
        except UnicodeDecodeError as error:
            fail(f"the value of {name} is no text in UTF-8 (byte {error.start}): encode it, say with base64")
        if file is None:
            value = value.removesuffix("\n")
    if not value:
        fail(f"the value of {name} is empty; nothing was stored")
    return value


def set_secret(name: Name, file: ValueFile = None) -> None:
    """Store a value, asked for or read from a pipe or a file: never an argument, which everybody could see."""
    value = read_value(name, file)
    with closing(open_database()) as database:
        try:
            open_secrets(database).set(SecretInfo(tenant=TENANT, name=name), value)
        except SecretError as error:
            fail(str(error))
    console.print(f"stored {name}")


def list_secrets(json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False) -> None:
    """List names; values are never shown."""
    with closing(open_database()) as database:
        found = open_secrets(database).list(TENANT)
    if json:
        print_json([asdict(secret) for secret in found])
        return
    print_table(
        ("name", "visibility"),
        ((secret.name, secret.visibility.value) for secret in found),
        empty="No secrets yet. Store one: outrider secret set NAME",
    )


def delete(name: Name) -> None:
    """Remove a secret."""
    with closing(open_database()) as database:
        try:
            open_secrets(database).delete(TENANT, name)
        except SecretError as error:
            fail(str(error))
    console.print(f"removed {name}")
