"""The commands of `outrider`, by name; the module behind a command is loaded when that command is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from outrider.cli.profiles import LOCAL, in_use
from outrider.messaging.version import __version__

#: Command -> (module, attribute). A Typer application is a group of commands, a function is one command.
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("outrider.cli.run", "run"),
    "init": ("outrider.cli.init", "init"),
    "blueprint": ("outrider.cli.blueprint", "app"),
    "plugin": ("outrider.cli.plugin_commands", "app"),
    "deployment": ("outrider.cli.updating", "app"),
    "execution": ("outrider.cli.resuming", "app"),
    "exec": ("outrider.cli.exec", "exec_"),
    "agent": ("outrider.cli.agents", "app"),
    "broker": ("outrider.cli.broker", "app"),
    "up": ("outrider.cli.up", "up"),
    "ca": ("outrider.cli.ca", "app"),
    "dispatcher": ("outrider.cli.dispatcher", "app"),
    "secret": ("outrider.cli.secret", "app"),
    "config": ("outrider.cli.config", "app"),
    "events": ("outrider.cli.events", "events"),
    "profile": ("outrider.cli.profile", "app"),
}
#: The same nouns while a manager is in use (`outrider profile use NAME`).
MANAGED: dict[str, tuple[str, str]] = {
    "plugin": ("outrider.cli.remote.plugin", "app"),
    "blueprint": ("outrider.cli.remote.blueprint", "app"),
    "deployment": ("outrider.cli.remote.deployment", "app"),
    "execution": ("outrider.cli.remote.execution", "app"),
    "secret": ("outrider.cli.remote.secret", "app"),
    "events": ("outrider.cli.remote.events", "events"),
}
EPILOG = (
    "State lies in $OUTRIDER_HOME (default ~/.outrider); every command finds it there. "
    "With `outrider profile`, commands speak to a manager instead."
)


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


def application(names: Iterable[str], *, managed: bool = False) -> typer.Typer:
    """Return the command line with these commands; `managed`: as they are while a manager is in use.

    Tracebacks are plain: the decorated ones print local variables, and one of them may be a secret.
    """
    app = typer.Typer(name="outrider", no_args_is_help=True, pretty_exceptions_enable=False, epilog=EPILOG)
    app.callback()(outrider)
    for name in names:
        module, attribute = (MANAGED.get(name) if managed else None) or COMMANDS[name]
        command: Any = getattr(importlib.import_module(module), attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def run() -> None:
    """Run the command line; ends the process."""
    called = sys.argv[1] if len(sys.argv) > 1 else ""
    managed = in_use() != LOCAL
    application([called] if called in COMMANDS else COMMANDS, managed=managed)(prog_name="outrider")
