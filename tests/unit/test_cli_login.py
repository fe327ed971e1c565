"""The options for logging in to hosts are declared once, and reach each command as one value."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer.testing import CliRunner

from outrider.cli.login import Login, with_login


def given(*arguments: str) -> tuple[str, Login, int]:
    """Return what a command with these options is called with."""
    found: list[tuple[str, Login, int]] = []

    def command(
        host: str, *, login: Login, lines: Annotated[int, typer.Option("--lines", "-n", help="So many.")] = 5
    ) -> None:
        found.append((host, login, lines))

    app = typer.Typer()
    app.command()(with_login(command))
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return found[0]


def test_without_options_a_command_has_the_defaults() -> None:
    assert given("web-1") == ("web-1", Login(), 5)


def test_all_options_reach_the_command_as_one_value(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("")
    options = ("-u", "me", "--key", str(key), "--jump", "a", "--jump", "b", "--accept-new-host-keys", "--no-root")
    host, login, lines = given("web-1", *options, "--ask-sudo-password", "--fingerprint", "SHA256:x", "-n", "7")
    assert (host, lines) == ("web-1", 7)
    assert login == Login(
        "me", key, ask_sudo=True, jump=["a", "b"], fingerprint="SHA256:x", accept_new=True, no_root=True
    )
