"""One shell command on several agents at once: each host's output under its name, one outcome each, one exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from outrider.cli import exec as command
from outrider.cli import fan_out
from outrider.cli.chosen_agents import Chosen, choose_living
from outrider.cli.exit_codes import ExitCode
from outrider.cli.home import Home
from outrider.cli.local import Local
from outrider.cli.settings import CommandSettings, ConnectionSettings
from outrider.dispatcher.dispatcher import Dispatcher
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.store import agents
from outrider.messaging import topology
from outrider.messaging.embedded import EmbeddedBroker
from tests.support.agents import agent_settings, running_agent
from tests.support.waiting import wait_until

NAMES = ("web-1", "web-2", "web-3")
#: Ends differently on each host: the attempt's folder lies below the agent's own.
DIFFERENT = (
    'case "$PWD" in */web-1/*) echo one; exit 0;; */web-2/*) echo two; exit 7;; *) echo three; kill -9 $$;; esac'
)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    """A dispatcher and three agents in this process."""
    broker = EmbeddedBroker()
    settings = CommandSettings(Home(tmp_path), ConnectionSettings(), EngineSettings(), {})
    with ExitStack() as stack:
        transport = broker.transport()
        stack.callback(transport.close)
        dispatcher = stack.enter_context(
            Dispatcher(database=f"sqlite:///{tmp_path / 'store.db'}", files=tmp_path / "files", transport=transport)
        )
        for name in NAMES:
            transport.declare(topology.agent_topology(name))
            own = broker.transport()
            stack.callback(own.close)
            stack.enter_context(running_agent(agent_settings(tmp_path / name, agent_id=name), own))
        wait_until(lambda: _heard_of(dispatcher) == set(NAMES), 15, "a heartbeat of each agent in the store")
        yield Local(dispatcher, None, settings)


def _heard_of(dispatcher: Dispatcher) -> set[str]:
    with dispatcher.database.read() as connection:
        return {agent.id for agent in agents.listed(connection)}


def planned(local: Local, shell: str) -> command.Operation:
    return command.what_to_run(local, shell, None, None, {})


def test_each_host_has_its_lines_its_outcome_and_its_exit_code(
    local: Local, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = choose_living(local.dispatcher.database, ["web-*"], every=False, central="central", patient=True)
    assert chosen == Chosen(NAMES)
    outcomes = fan_out.run_on_all(local, chosen, planned(local, DIFFERENT), timeout=None, json=False)
    assert [(each.agent, each.outcome, each.exit_code) for each in outcomes] == [
        ("web-1", "succeeded", 0),
        ("web-2", "failed", 7),
        ("web-3", "failed", 137),
    ]
    assert all(each.seconds is not None and each.seconds > 0 for each in outcomes)
    assert fan_out.exit_code(outcomes) is ExitCode.FAILED
    fan_out.report(outcomes, json=False)
    printed = capsys.readouterr().out
    for line in ("web-1  one", "web-2  two", "web-3  three"):
        assert line in printed
    rows = [line.split() for line in printed.splitlines() if line.startswith("web-")]
    assert rows[-2][:3] == ["web-2", "failed", "7"]


def test_what_operations_return_and_who_was_silent_is_in_the_json(
    local: Local, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = Chosen(NAMES[:2], silent=("web-9",))
    outcomes = fan_out.run_on_all(local, chosen, planned(local, "ctx returns $((6 * 7))"), timeout=None, json=True)
    fan_out.report(outcomes, json=True)
    printed = json.loads(capsys.readouterr().out)
    assert [(each["agent"], each["outcome"], each["value"]) for each in printed] == [
        ("web-1", "succeeded", "42"),
        ("web-2", "succeeded", "42"),
        ("web-9", "silent", None),
    ]
    assert fan_out.exit_code(outcomes) is ExitCode.FAILED
    assert fan_out.exit_code(outcomes[:2]) is ExitCode.SUCCESS


def test_a_command_without_an_end_is_ended_by_the_timeout_on_every_host(local: Local) -> None:
    outcomes = fan_out.run_on_all(local, Chosen(NAMES[:2]), planned(local, "sleep 600"), timeout=0.5, json=True)
    assert [each.outcome for each in outcomes] == ["timed out", "timed out"]
