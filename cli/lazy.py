"""Commands by name: the module behind a command is loaded when that command is called, completed or documented.

`commands` and `remote.commands` list what there is; `app` makes the command line of it. A list of commands (`--help`, a
mistyped name, completion of a name) is told from the table alone, so that it costs nothing that the commands need.
"""

from __future__ import annotations

import gc
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from outrider.dispatcher.garbage import THRESHOLDS

ADDED_FLAGS = frozenset({"help", "install_completion", "show_completion"})
#: Leaves options that the command does not know to it, as further arguments.
PASSES_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


@dataclass(frozen=True)
class Command:
    """One command."""

    #: ``module:function``, below `outrider.cli`.
    place: str
    #: The first paragraph of the function's docstring; a test compares them.
    help: str
    #: Whether further options belong to what the command starts.
    passes_on: bool = False

    def function(self) -> Any:
        """Load the module and return what runs the command."""
        module, _, name = self.place.partition(":")
        return getattr(importlib.import_module(f"outrider.cli.{module}"), name)


@dataclass(frozen=True)
class Group:
    """Commands about one thing, by name."""

    help: str
    commands: Mapping[str, Command | Group]


class LazyCommand(TyperCommand):
    """A command of ours."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, those that the library adds included."""
        return plain_flags(super().get_params(ctx))


class LazyGroup(TyperGroup):
    """A group that knows names and one-line helps, and loads a command when it is called."""

    entries: Mapping[str, Command | Group]

    def adopt(self, entries: Mapping[str, Command | Group]) -> LazyGroup:
        """Have these commands; returns itself."""
        self.entries = entries
        # What lists and suggestions show. None of them is ever run: `resolve_command` puts the real one in its place.
        self.commands = {name: TyperCommand(name, help=entry.help) for name, entry in entries.items()}
        return self

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, those that the library adds included."""
        return plain_flags(super().get_params(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Return the command that the arguments name, loaded."""
        name: Any
        name, command, rest = super().resolve_command(ctx, args)
        if name in self.entries:
            command = loaded(name, self.entries[name])
        if isinstance(self.entries.get(name), Command):
            # What was loaded stays to the end, so the collector need not go through it, now or then: `main` stopped it.
            gc.freeze()
            gc.set_threshold(*THRESHOLDS)
            gc.enable()
        return name, command, rest


def loaded(name: str, entry: Command | Group) -> Any:
    """Return a command or a group as the command line's library has it."""
    if isinstance(entry, Group):
        return LazyGroup(name=name, help=entry.help, no_args_is_help=True).adopt(entry.commands)
    alone = typer.Typer(add_completion=False)
    alone.command(name, cls=LazyCommand, context_settings=PASSES_ON if entry.passes_on else None)(entry.function())
    return typer.main.get_command(alone)


def plain_flags(parameters: list[Any]) -> list[Any]:
    """Give flags that the library adds the value False where they are absent, as ours have.

    It has None there, and loads the library that converts values to find out that nothing is to be converted.
    """
    for each in parameters:
        if each.name in ADDED_FLAGS:
            each.default = False
    return parameters
