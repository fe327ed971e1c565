"""One shell command on several agents at once: each host's output under its name, one outcome each, one exit code."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from outrider.cli import executing, fan_out
from outrider.cli.chosen_agents import Chosen, choose_living
from outrider.cli.exit_codes import ExitCode
from outrider.cli.home import Home
from outrider.cli.sequencing import Operation, Sequencing, sequencing
from outrider.cli.settings import CommandSettings, ConnectionSettings
from outrider.dispatcher.dispatcher import Dispatcher
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.store import agents, executions, ownership
from outrider.dispatcher.store.ownership import Member
from outrider.messaging import topology
from outrider.messaging.embedded import EmbeddedBroker
from tests.support.agents import agent_settings, running_agent
from tests.support.commands import started
from tests.support.waiting import wait_until

NAMES = ("web-1", "web-2", "web-3")
#: Ends differently on each host: the attempt's folder lies below the agent's own.
DIFFERENT = (
    'case "$PWD" in */web-1/*) echo one; exit 0;; */web-2/*) echo two; exit 7;; *) echo three; kill -9 $$;; esac'
)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sequencing]:
    """What a command does its work with, beside a dispatcher and three agents that run already."""
    monkeypatch.setenv("OUTRIDER_HOME", str(tmp_path))
    broker = EmbeddedBroker()
    settings = CommandSettings(Home(tmp_path), ConnectionSettings(), EngineSettings(), {})
    with ExitStack() as stack:
        transport = broker.transport()
        stack.callback(transport.close)
        dispatcher = stack.enter_context(
            Dispatcher(database=settings.database_url, files=tmp_path / "files", transport=transport)
        )
        for name in NAMES:
            transport.declare(topology.agent_topology(name))
            own = broker.transport()
            stack.callback(own.close)
            stack.enter_context(running_agent(agent_settings(tmp_path / name, agent_id=name), own))
        wait_until(lambda: _heard_of(dispatcher) == set(NAMES), 15, "a heartbeat of each agent in the store")
        yield stack.enter_context(sequencing(settings))


def _heard_of(dispatcher: Dispatcher) -> set[str]:
    with dispatcher.database.read() as connection:
        return {agent.id for agent in agents.listed(connection)}


def shell(work: Sequencing, command: str, *, timeout_seconds: float | None = None) -> Operation:
    return executing.what_to_run(work, executing.Asked(command, timeout_seconds=timeout_seconds), {}, quiet=True)


def test_each_host_has_its_lines_its_outcome_and_its_exit_code(
    work: Sequencing, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = choose_living(work.database, ["web-*"], every=False, central="central", patient=True)
    assert chosen == Chosen(NAMES)
    outcomes = fan_out.run_on_all(work, chosen, shell(work, DIFFERENT), json=False)
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
    work: Sequencing, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = Chosen(NAMES[:2], silent=("web-9",))
    outcomes = fan_out.run_on_all(work, chosen, shell(work, "ctx returns $((6 * 7))"), json=True)
    fan_out.report(outcomes, json=True)
    printed = json.loads(capsys.readouterr().out)
    assert [(each["agent"], each["outcome"], each["value"]) for each in printed] == [
        ("web-1", "succeeded", "42"),
        ("web-2", "succeeded", "42"),
        ("web-9", "silent", None),
    ]
    assert fan_out.exit_code(outcomes) is ExitCode.FAILED
    assert fan_out.exit_code(outcomes[:2]) is ExitCode.SUCCESS


def test_a_command_without_an_end_is_ended_by_the_timeout_on_every_host(work: Sequencing) -> None:
    outcomes = fan_out.run_on_all(work, Chosen(NAMES[:2]), shell(work, "sleep 600", timeout_seconds=0.5), json=True)
    assert [each.outcome for each in outcomes] == ["timed out", "timed out"]


def test_a_command_beside_a_dispatcher_starts_no_engine_and_connects_to_no_broker(
    work: Sequencing, tmp_path: Path
) -> None:
    printed, loaded = started(tmp_path, "exec", "echo here", "--on", "web-*", "--json")
    assert {each["outcome"] for each in json.loads(printed)} == {"succeeded"}
    assert not loaded.intersection(
        {"outrider.dispatcher.engine", "outrider.agent.agent", "uvicorn", "pika", "paramiko"}
        # What takes long to load, and only dispatchers and agents need.
        | {"outrider.messaging.messages", "outrider.dispatcher.files"}
    )


def test_a_command_that_no_dispatcher_serves_any_more_begins_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTRIDER_HOME", str(tmp_path))
    with sequencing(CommandSettings(Home(tmp_path), ConnectionSettings(), EngineSettings(), {})) as work:
        gone = Member(id="gone", host="h", version="1", started_at=0.0, lease_until=0.0)
        with work.database.begin() as connection:
            now = work.database.now(connection)
            ownership.renew(connection, replace(gone, lease_until=now + EngineSettings().owner_lease_seconds))
        (execution,) = work.start(["central"], shell(work, "true"))
        work.pause(0.0)
        with work.database.begin() as connection:
            assert [each.id for each in ownership.members(connection)] == ["gone"]
            # It has not renewed its lease for a while.
            ownership.renew(connection, replace(gone, lease_until=now + 5.0))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not ended(work, execution.id):
            work.pause(0.1)
        assert ended(work, execution.id)


def ended(work: Sequencing, execution_id: str) -> bool:
    with work.database.read() as connection:
        return execution_id in executions.ended_of(connection, [execution_id])
