"""The command starts fast: a command loads only what it needs. Guarded by names; times depend on the machine."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from outrider.cli.commands import COMMANDS
from outrider.cli.lazy import Command, Group
from outrider.cli.remote.commands import MANAGED
from tests.support.commands import started

#: What takes longer to import than a light command may take as a whole.
ENGINE = ("outrider.dispatcher.engine", "outrider.agent.agent", "outrider.installer", "pika")
HEAVY = ("alembic", "boto3", "cryptography", "fastapi", "jinja2", "paramiko", "psycopg", "uvicorn", "yaml", *ENGINE)
LANGUAGE = ("outrider.dispatcher.blueprint", "outrider.dispatcher.workflows")
STORE = ("sqlalchemy",)


def entries(table: Mapping[str, Command | Group]) -> Iterator[Command]:
    """Yield all commands of a table."""
    for entry in table.values():
        if isinstance(entry, Group):
            yield from entries(entry.commands)
        else:
            yield entry


def test_lists_of_commands_say_what_the_commands_say() -> None:
    wrong = []
    for each in (*entries(COMMANDS), *entries(MANAGED)):
        written = (inspect.getdoc(each.function()) or "").split("\n\n")[0].replace("\n", " ")
        if written != each.help:
            wrong.append(f"{each.place}: listed as {each.help!r}, its docstring says {written!r}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (("--version",), (*HEAVY, *STORE, *LANGUAGE, "pydantic", "rich")),
        (("--help",), (*HEAVY, *STORE, *LANGUAGE, "pydantic")),
        (("agent", "--help"), (*HEAVY, *STORE, *LANGUAGE, "pydantic")),
        (("config", "show", "--json"), (*HEAVY, *STORE, *LANGUAGE, "pydantic")),
        (("execution", "list", "--json"), (*HEAVY, *LANGUAGE)),
        (("agent", "list"), (*HEAVY, *LANGUAGE, "sqlalchemy.dialects.postgresql")),
    ],
    ids=" ".join,
)
def test_a_command_loads_only_what_it_needs(
    arguments: tuple[str, ...], unwanted: tuple[str, ...], tmp_path: Path
) -> None:
    if "list" in arguments:
        # A store of this version is opened without the tool that migrates it.
        importlib.import_module("outrider.dispatcher.store").Database(f"sqlite:///{tmp_path / 'outrider.db'}").close()
    _, loaded = started(tmp_path, *arguments)
    assert not loaded.intersection(unwanted)


def test_names_and_options_are_completed(tmp_path: Path) -> None:
    def completed(words: str) -> list[str]:
        asked = {"_OUTRIDER_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        return started(tmp_path, **asked)[0].split()

    assert completed("outrider execution wa") == ["watch"]
    assert completed("outrider config show --js") == ["--json"]
