"""What people get wrong at the command line: a line that says what, and the exit code for it, never a traceback."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import typer

from outrider.cli import profile
from outrider.cli.app import application
from outrider.cli.commands import COMMANDS
from outrider.cli.execution import find
from outrider.cli.exit_codes import ExitCode
from outrider.cli.home import Home
from outrider.cli.remote.client import ManagerRefused, at
from outrider.cli.secret import read_value
from outrider.cli.up import manager_settings
from outrider.dispatcher.errors import StoreUnavailable
from outrider.dispatcher.store import Database
from outrider.manager_stub import CannotServe, ManagerSettings, listen
from tests.support.certificates import make_certificates


@pytest.mark.parametrize(("address", "advertise", "tls", "told"), [
    ("127.0.0.1:99999", None, False, "ADDRESS:PORT"),
    ("127.0.0.1:٣", None, False, "ADDRESS:PORT"),
    ("8099", None, False, "ADDRESS:PORT"),
    ("::1:8099", None, False, "or [::1]:8099"),
    ("[::1", None, False, "or [::1]:8099"),
    ("[manager.example]:8099", None, False, "or [::1]:8099"),
    ("[fe80::1%eth0]:8099", None, False, "or [::1]:8099"),
    ("[::1]:0", "[::1]:8099", False, "write it alone, such as manager.example"),
    ("127.0.0.1:0", "https://manager.example", False, "write it alone, such as manager.example"),
    ("127.0.0.1:0", "manager.example:8099", False, "write it alone, such as manager.example"),
    ("127.0.0.1:0", None, True, "--tls and --plain-http contradict each other"),
])  # fmt: skip
def test_where_no_manager_can_be_is_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str, advertise: str | None, tls: bool, told: str
) -> None:
    with pytest.raises(typer.Exit) as ended:
        manager_settings(
            Home(tmp_path / "home"), address, advertise=advertise, plain_http=True, tls=tls, own=(None, None)
        )
    assert ended.value.exit_code == ExitCode.BAD_INPUT
    assert told in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "home").exists()


def test_a_certificate_that_cannot_serve_is_told_of_at_the_start(tmp_path: Path) -> None:
    _authority, certificate, key = make_certificates(tmp_path)
    (tmp_path / "others").mkdir()
    others_key = make_certificates(tmp_path / "others")[2]

    def told(certificate: Path, key: Path) -> str:
        with pytest.raises(CannotServe) as refused:
            listen(ManagerSettings(port=0, certificate=certificate, certificate_key=key))
        return str(refused.value)

    assert told(certificate, others_key).endswith("do not belong together")
    assert told(key, key).endswith("cannot be read as PEM")
    assert "No such file" in told(certificate, tmp_path / "none.key")
    listen(ManagerSettings(port=0, certificate=certificate, certificate_key=key)).close()


def test_a_port_that_is_taken_is_told_of_once(tmp_path: Path) -> None:
    with closing(listen(ManagerSettings(port=0))) as taken, pytest.raises(CannotServe) as refused:
        listen(ManagerSettings(port=taken.getsockname()[1]))
    assert str(refused.value).endswith("Address already in use; choose another with --listen")


@pytest.mark.parametrize("url", ["mysql://user:word@host/name", "postgresql://user:word@host:port/name", "x y://"])
def test_an_address_of_no_database_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be used: write postgresql://") as refused:
        Database(url)
    assert "word@" not in str(refused.value).replace("password@", "")


def test_a_home_that_cannot_be_made_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(typer.Exit):
        Home(tmp_path / "file").make()
    assert "name another in OUTRIDER_HOME" in capsys.readouterr().err.replace("\n", " ")


def test_whatever_a_name_holds_it_is_a_name_at_the_manager() -> None:
    assert at("deployments", "né é", "outputs") == "/deployments/n%C3%A9%20%C3%A9/outputs"
    assert at("secrets", "a?b#c/../d%2e") == "/secrets/a%3Fb%23c%2F..%2Fd%252e"
    assert at("secrets", "\udcff") == "/secrets/%FF"
    with pytest.raises(ManagerRefused, match="the name is empty"):
        at("deployments", "")


def test_an_empty_id_means_no_execution(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(Database(str(tmp_path / "outrider.db"))) as database, pytest.raises(typer.Exit):
        find(database, "")
    assert "the execution's id is empty" in capsys.readouterr().err


def test_a_secret_that_is_no_text_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "value").write_bytes(b"ab\xff")
    with pytest.raises(typer.Exit):
        read_value("key", tmp_path / "value")
    assert "no text in UTF-8 (byte 2)" in capsys.readouterr().err.replace("\n", " ")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("wört\n".encode()), encoding="ascii"))
    assert read_value("key", None) == "wört", "whatever the terminal's encoding"


@pytest.mark.parametrize(("url", "told"), [
    ("manager.example:8099", "write https://manager.example:8099"),
    ("https://", "write https://manager.example:8099"),
    ("https://manager.example:none", "write https://manager.example:8099"),
    ("https://[::1", "write https://manager.example:8099"),
    ("http://127.0.0.1:1", "--ca is for https"),
    ("https://127.0.0.1:1", "holds no certificate in PEM"),
])  # fmt: skip
def test_a_profile_is_not_made_from_what_cannot_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str, told: str
) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("nothing of the kind")
    monkeypatch.setattr(sys, "stdin", io.StringIO("a token\n"))
    with pytest.raises(typer.Exit) as ended:
        profile.add("north", url, ca=authority)
    assert ended.value.exit_code == ExitCode.BAD_INPUT
    assert told in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize("arguments", [["central"], ["web", "--id", "central"]])
def test_no_hosts_agent_gets_the_central_agents_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.setenv("OUTRIDER_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        application(COMMANDS)(["agent", "install", *arguments], prog_name="outrider")

    assert ended.value.code == ExitCode.BAD_INPUT
    assert "'central' is the central agent's name" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_told_in_a_line(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "outrider.cli", "config", "show", "--json"],
            env={**os.environ, "OUTRIDER_HOME": str(tmp_path)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=100,
            check=False,
        )
    assert done.returncode == ExitCode.UNAVAILABLE
    assert done.stderr == "error: the output: No space left on device; make room there, and run it again\n"
