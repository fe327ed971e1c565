"""Makes the command line of the tables of commands, and runs it."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from outrider.cli.commands import COMMANDS
from outrider.cli.exit_codes import ExitCode
from outrider.cli.lazy import Command, Group, LazyGroup
from outrider.cli.profiles import LOCAL, in_use
from outrider.cli.remote.commands import MANAGED
from outrider.messaging.version import __version__

EPILOG = (
    "State lies in $OUTRIDER_HOME (default ~/.outrider); every command finds it there. "
    "With `outrider profile`, commands speak to a manager instead."
)


#: What a disk says that cannot be written, whatever was to be written: no defect, and the operator can mend it.
NOT_WRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


def print_version(value: bool) -> None:
    """Print the version and end."""
    if value:
        typer.echo(f"outrider {__version__}")
        raise typer.Exit


def outrider(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run operations on many hosts: agents, plugins, workflows."""


def application(entries: Mapping[str, Command | Group]) -> LazyGroup:
    """Return the command line with these commands."""
    app = typer.Typer(name="outrider", cls=LazyGroup, no_args_is_help=True, epilog=EPILOG)
    app.callback()(outrider)
    root = typer.main.get_command(app)
    assert isinstance(root, LazyGroup)  # noqa: S101 - its class is given above
    return root.adopt(entries)


def run() -> None:
    """Run the command line; ends the process.

    Tracebacks are Python's own: the decorated ones of Typer print local variables, and one of them may be a secret.
    """
    managed = in_use() != LOCAL
    try:
        application({**COMMANDS, **MANAGED} if managed else COMMANDS)(prog_name="outrider")
    except OSError as error:
        if error.errno not in NOT_WRITABLE:
            raise
        place = error.filename2 or error.filename or "the output"
        typer.echo(f"error: {place}: {os.strerror(error.errno)}; make room there, and run it again", err=True)
        sys.exit(ExitCode.UNAVAILABLE)
