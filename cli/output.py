"""How commands print: tables and messages for people, one JSON document for programs, errors on standard error."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from outrider.cli.exit_codes import ExitCode

#: Help of options whose arguments `key_values` reads.
VALUES = "name=value, or a YAML or JSON file of such; repeatable, the last one counts."
#: Width of tables that no terminal bounds.
PLAIN_WIDTH = 140


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else PLAIN_WIDTH)


console = _console(stderr=False)
errors = _console(stderr=True)
#: Held while a line is printed where several threads print.
printing = threading.Lock()


def print_json(value: Any) -> None:
    """Print one JSON document on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print rows below headings, or say `empty` when there are none."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    count = 0
    for row in rows:
        count += 1
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    console.print(table if count else Text(empty, style="dim"))


def print_fields(fields: Mapping[str, object]) -> None:
    """Print names and values, one a line."""
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        console.print(Text(f"{name:<{width}}  ", style="bold").append(Text(str(value), style="not bold")))


def fail(message: str, code: ExitCode = ExitCode.BAD_INPUT) -> NoReturn:
    """Say on standard error what is wrong and what to do; end the command."""
    errors.print(Text("error: ", style="bold red").append(Text(message, style="not bold default")), soft_wrap=True)
    raise typer.Exit(code)


def say(text: str) -> None:
    """Say on standard error what is being done; several threads may."""
    with printing:
        errors.print(text, style="dim", markup=False, soft_wrap=True)


def key_values(given: Iterable[str], *, what: str) -> dict[str, Any]:
    """Read ``name=value`` arguments, and files that hold names and values; of the same name, the last one counts.

    A value that is JSON (a number, true, a list …) is taken as such. Ends the command if an argument is neither, or a
    file cannot be read.
    """
    found: dict[str, Any] = {}
    for each in given:
        name, separator, value = each.partition("=")
        if not separator:
            found.update(_of_file(each, what=what))
        elif not name:
            fail(f"{what} {each!r} is not of the form name=value")
        else:
            found[name] = _value(value)
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _of_file(path: str, *, what: str) -> dict[str, Any]:
    if not os.path.exists(path):  # noqa: PTH110 - a text that cannot be a path is no file; `Path` raises
        fail(f"{what} {path!r} is neither of the form name=value nor a file")
    # Loaded here alone: few commands need the language.
    from outrider.cli.value_files import ValuesUnreadable, read_values

    try:
        return read_values(Path(path))
    except ValuesUnreadable as error:
        fail(str(error))
