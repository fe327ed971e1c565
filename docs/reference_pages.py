"""Writes the reference pages of settings and of the command line from the code; a test checks that they are current.

``python -m docs.reference_pages`` writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from docs.api_page import api_page
from outrider.agent import settings as agent_settings
from outrider.cli import settings as cli_settings
from outrider.cli.commands import COMMANDS
from outrider.cli.lazy import Command, Group, loaded
from outrider.cli.remote.commands import MANAGED
from outrider.dispatcher import settings as engine_settings

FOLDER = Path(__file__).resolve().parent / "reference"
NOTICE = "<!-- Written by `python -m docs.reference_pages`; change the code, then run it. -->\n"


def comments(module: Any, class_name: str) -> dict[str, str]:
    """Return field -> the ``#:`` comment above it, from the class's source."""
    source = Path(module.__file__).read_text(encoding="utf-8")
    body = source.partition(f"class {class_name}")[2]
    found: dict[str, str] = {}
    gathered: list[str] = []
    for line in body.splitlines()[1:]:
        if line and not line.startswith((" ", "@", ")")):
            break
        stripped = line.strip()
        if stripped.startswith("#:"):
            gathered.append(stripped[2:].strip())
        else:
            match = re.match(r"(\w+): [^=]+(=.*)?$", stripped)
            if match and gathered:
                found[match.group(1)] = " ".join(gathered)
            gathered = []
    return found


def settings_rows(kind: type, told: dict[str, str]) -> Iterator[str]:
    """Yield a table row for each setting of a class."""
    for item in fields(kind):
        if item.name != "origins":
            about = re.sub(r"``?([^`]+)``?", r"`\1`", told.get(item.name, ""))
            yield f"| `{item.name}` | {default_of(item)} | {about} |"


def default_of(item: Field[Any]) -> str:
    """Return a setting's default as a person would write it."""
    if item.default is MISSING:
        return "computed" if item.default_factory is not MISSING else "–"
    value = item.default
    if value is None or value == ():
        return "–"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def settings_page() -> str:
    """Return the page of all settings."""
    head = "| setting | default | |\n| --- | --- | --- |"
    command = [
        *settings_rows(cli_settings.ConnectionSettings, comments(cli_settings, "ConnectionSettings")),
        *settings_rows(engine_settings.EngineSettings, comments(engine_settings, "EngineSettings")),
    ]
    agent = list(settings_rows(agent_settings.Settings, comments(agent_settings, "Settings")))
    return "\n".join(
        [
            NOTICE,
            "# Settings",
            "",
            "Each is given in a TOML file, as `OUTRIDER_<NAME>` in the environment, or as a flag; later ones win.",
            "Times are seconds. All mistakes are reported at once; `outrider config show` says where each value",
            "came from.",
            "",
            "## Command and dispatcher",
            "",
            "File: `outrider.toml` in the home folder (`OUTRIDER_HOME`, default `~/.outrider`).",
            "",
            head,
            *command,
            "",
            "## Agent",
            "",
            "File: given by `--config`; the installer writes `/etc/outrider/agent.toml`.",
            "",
            head,
            *agent,
            "",
        ]
    )


def command_page() -> str:
    """Return the page of the command line."""
    lines = [NOTICE, "# The command line", "", "Exit codes: 0 success, 1 failed, 2 wrong input (nothing was started),"]
    lines += ["3 cancelled, 5 the store, the broker or the manager cannot be reached.", ""]
    for words, command in walk(COMMANDS, ["outrider"]):
        lines += [f"## {' '.join(words)}", "", str(command.help or "").strip(), ""]
        lines += list(parameter_rows(command))
        lines.append("")
    lines += ["# The same commands with a manager", ""]
    lines += ["While a manager is in use (`outrider profile use NAME`), these take the place of those above.", ""]
    for words, command in walk(MANAGED, ["outrider"]):
        lines += [f"## {' '.join(words)} (manager)", "", str(command.help or "").strip(), ""]
        lines += list(parameter_rows(command))
        lines.append("")
    return "\n".join(lines)


def walk(entries: Mapping[str, Command | Group], words: list[str]) -> Iterator[tuple[list[str], Any]]:
    """Yield every command that does something, loaded, with its words."""
    for name, entry in entries.items():
        if isinstance(entry, Group):
            yield from walk(entry.commands, [*words, name])
        else:
            yield [*words, name], loaded(name, entry)


def parameter_rows(command: Any) -> Iterator[str]:
    """Yield table rows for a command's arguments and options."""
    shown = [parameter for parameter in command.params if parameter.name != "help"]
    if not shown:
        return
    yield "| | |\n| --- | --- |"
    for parameter in shown:
        names = ", ".join(f"`{option}`" for option in [*parameter.opts, *parameter.secondary_opts])
        if not names.startswith("`-"):
            names = f"`{parameter.metavar or str(parameter.name).upper()}`"
        about = str(getattr(parameter, "help", "") or "").replace("|", "\\|")
        yield f"| {names} | {about} |"


PAGES = {"settings.md": settings_page, "command-line.md": command_page, "api.md": lambda: api_page(NOTICE)}


def main() -> None:
    """Write all pages."""
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
