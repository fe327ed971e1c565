"""`outrider agent doctor`: what it has hosts look for, and what it says of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from outrider.cli import hosts
from outrider.installer import BrokerAccess, SshTarget, StepFailed
from outrider.installer.errors import AccessFailed
from outrider.plugins.ssh.access.errors import HostUnreachable

DOCTOR = typer.Typer()
DOCTOR.command()(hosts.doctor)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[BrokerAccess]:
    """Have two hosts: one with an agent, one that is down; return what the first is told of the broker."""
    (tmp_path / "ca.pem").write_text("the operator's authority")
    monkeypatch.setenv("OUTRIDER_HOME", str(tmp_path))
    monkeypatch.setenv("OUTRIDER_BROKER_URLS", "amqps://me:pw@broker.example:5671/fleet")
    monkeypatch.setenv("OUTRIDER_BROKER_CA_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setattr(hosts, "open_bundle", lambda _path: SimpleNamespace(host_program=b"program"))
    told: list[BrokerAccess] = []

    def probe(target: SshTarget, _program: bytes, *, broker: BrokerAccess, **_: Any) -> Any:
        if target.host == "down":
            raise StepFailed(str(target), "connect", AccessFailed(HostUnreachable("no answer", remedy="start sshd")))
        told.append(broker)
        facts = SimpleNamespace(os_name="Debian", python="3.11", user="root", agent_id="web-1")
        return SimpleNamespace(facts=facts, problems=(), service="active")

    monkeypatch.setattr(hosts, "probe", probe)
    return told


def test_doctor_tries_the_broker_with_the_operators_authority_and_tells_of_the_agent(asked: list[BrokerAccess]) -> None:
    done = CliRunner().invoke(DOCTOR, ["up"])
    assert done.exit_code == 0, done.output
    assert [broker.ca_pem for broker in asked] == ["the operator's authority"]
    assert "its agent web-1: active" in done.output


def test_doctor_names_no_option_that_it_does_not_have(asked: list[BrokerAccess]) -> None:
    done = CliRunner().invoke(DOCTOR, ["up", "down"])
    assert done.exit_code == 1
    assert "start sshd" in done.output
    assert "Once mended: the same command\n" in done.output
