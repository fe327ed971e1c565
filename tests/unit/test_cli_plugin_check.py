"""`outrider plugin check`: on this host, and on those of agents, by what their heartbeats said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from outrider.agent.heartbeat import _tags
from outrider.cli import profiles
from outrider.cli.plugin_check import check, target_of
from outrider.dispatcher.store import agents
from outrider.dispatcher.store.agents import Agent
from outrider.dispatcher.store.database import Database
from outrider.plugins.wagons import probe
from tests.support.wagons import WagonMaker, wheel_bytes

BEATS = {
    "here": {"python": "3.11.7", "tags": ["cp311", "linux_x86_64", "glibc-2.36"]},
    "old-1": {"python": "3.9.18", "tags": ["cp39", "linux_x86_64", "glibc-2.17"]},
    "arm": {"python": "3.11.2+", "tags": ["cp311", "linux_aarch64", "glibc-2.36"]},
    "silent": None,
}


@pytest.fixture
def wagon(tmp_path: Path) -> Path:
    """A wagon with a wheel for one Python and one platform."""
    tag = "cp311-cp311-manylinux_2_28_x86_64"
    wheel = wheel_bytes("native", "1.0")
    return WagonMaker(name="native", version="1.0", wheels={f"native-1.0-{tag}.whl": wheel}).write(tmp_path)


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home whose store knows a few agents."""
    monkeypatch.setenv("OUTRIDER_HOME", str(tmp_path))
    database = Database(f"sqlite:///{tmp_path / 'outrider.db'}")
    with database.begin() as connection:
        for name, beat in BEATS.items():
            agents.save(connection, Agent(id=name, heartbeat=beat))
    database.close()


def checked(wagon: Path, named: Sequence[str]) -> Result:
    app = typer.Typer()
    app.command()(check)
    return CliRunner().invoke(app, [str(wagon), *(part for name in named for part in ("--agent", name))])


def test_each_agent_s_host_is_judged_with_all_reasons(wagon: Path) -> None:
    done = checked(wagon, ["here"])
    assert (done.exit_code, "installs on CPython 3.11.7 on linux-x86_64 (glibc-2.36)" in done.output) == (0, True)
    done = checked(wagon, ["*"])
    assert done.exit_code == 1
    lines = {line.partition(": ")[0]: line for line in done.output.splitlines()}
    assert "installs on" in lines["here"]
    assert "CPython 3.9.18 on linux-x86_64 (glibc-2.17)" in lines["old-1"]
    assert "is built for cp311-cp311-manylinux_2_28_x86_64" in lines["arm"]
    assert "has not reported yet" in lines["silent"]


def test_an_agent_that_is_not_known_is_said(wagon: Path) -> None:
    done = checked(wagon, ["nobody"])
    assert done.exit_code == 1
    assert "no agent nobody is known; known are: arm, here, old-1, silent" in done.output


def test_agents_of_a_manager_are_not_looked_for_here(wagon: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(profiles.VARIABLE, "production")
    done = checked(wagon, ["*"])
    assert done.exit_code != 0
    assert "run this on its machine" in done.output


def test_what_an_agent_says_of_its_host_is_what_its_interpreter_is() -> None:
    found, own = target_of({"python": ".".join(map(str, probe().python)), "tags": _tags()}), probe()
    assert found is not None
    assert (found.description, found.bits) == (own.description, own.bits)
