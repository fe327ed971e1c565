"""What a person asks a running agent: to be drained and undrained, its log, and all that is known of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from outrider.agent.recent_log import RecentLog
from outrider.cli import agent_show
from outrider.cli.agent_control import wait_until_idle
from outrider.dispatcher.asking import AgentQuestions, agent_questions
from outrider.dispatcher.dispatcher import Dispatcher
from outrider.dispatcher.errors import AgentRefused, AgentSilent
from outrider.messaging import topology
from outrider.messaging.embedded import EmbeddedBroker
from outrider.messaging.messages import ControlKind
from tests.support.agents import AGENT_ID, agent_settings, running_agent
from tests.support.waiting import wait_until

SCRIPT = {"name": "script"}
RUN = "script_runner.tasks.run"
SHOW = typer.Typer()
SHOW.command()(agent_show.show)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the command finds its store."""
    monkeypatch.setenv("OUTRIDER_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def broker() -> EmbeddedBroker:
    return EmbeddedBroker()


@pytest.fixture
def dispatcher(home: Path, broker: EmbeddedBroker) -> Iterator[Dispatcher]:
    """A dispatcher and one agent on a host."""
    transport, own = broker.transport(), broker.transport()
    log = RecentLog.attached()
    with Dispatcher(
        database=f"sqlite:///{home / 'outrider.db'}", files=home / "files", transport=transport
    ) as dispatcher:
        dispatcher.register_agent(AGENT_ID)
        with running_agent(agent_settings(home / "agent"), own, beside={ControlKind.LOGS: log.answer}):
            yield dispatcher
    logging.getLogger().removeHandler(log)
    own.close()
    transport.close()


@pytest.fixture
def questions(broker: EmbeddedBroker, dispatcher: Dispatcher) -> Iterator[AgentQuestions]:
    transport = broker.transport()
    with agent_questions(transport) as asked:
        yield asked
    transport.close()


def script(home: Path, name: str) -> dict[str, str]:
    """Return a shell script that says that it runs, then waits for a file."""
    return {
        "script_source": f"#!/bin/sh\ntouch {home}/{name}.runs\nuntil test -e {home}/{name}.go; do sleep 0.05; done"
    }


def test_a_drained_agent_finishes_what_it_has_and_leaves_the_rest_in_its_queue(
    dispatcher: Dispatcher, questions: AgentQuestions, home: Path
) -> None:
    running = dispatcher.start_operation(AGENT_ID, SCRIPT, RUN, script(home, "first"))
    wait_until((home / "first.runs").exists, 30, "the first operation to run")
    assert questions.ask(AGENT_ID, ControlKind.DRAIN) == {"state": "draining"}
    assert wait_until_idle(questions, AGENT_ID, timeout_seconds=0.2) == 1
    waiting = dispatcher.start_operation(AGENT_ID, SCRIPT, RUN, script(home, "second"))
    (home / "second.go").touch()
    (home / "first.go").touch()
    assert dispatcher.wait(running.id, timeout_seconds=30).status.value == "terminated"
    assert wait_until_idle(questions, AGENT_ID, timeout_seconds=30) == 0
    assert not (home / "second.runs").exists()
    assert not dispatcher.execution(waiting.id).ended
    assert questions.ask(AGENT_ID, ControlKind.DRAIN, {"undo": True}) == {"state": "running"}
    assert dispatcher.wait(waiting.id, timeout_seconds=30).status.value == "terminated"


def test_an_agent_tells_the_end_of_its_log(dispatcher: Dispatcher, questions: AgentQuestions) -> None:
    logging.getLogger("outrider.agent.test").warning("a line of %s", "mine")
    told = questions.ask(AGENT_ID, ControlKind.LOGS, {"lines": 1})["lines"]
    assert len(told) == 1
    assert "WARNING outrider.agent.test: a line of mine" in told[0]


def test_who_does_not_answer_and_who_refuses_is_said(questions: AgentQuestions, broker: EmbeddedBroker) -> None:
    with pytest.raises(AgentSilent, match="no agent 'nobody' at this broker"):
        questions.ask("nobody", ControlKind.PING)
    transport = broker.transport()
    transport.declare(topology.agent_topology("asleep"))
    with pytest.raises(AgentSilent, match=r"'asleep' did not answer within 0\.1 s"):
        questions.ask("asleep", ControlKind.PING, timeout_seconds=0.1)
    transport.close()
    with pytest.raises(AgentRefused, match="'host-1' refuses: ValueError: a cancel needs an attempt_id"):
        questions.ask(AGENT_ID, ControlKind.CANCEL)


def test_show_tells_version_lease_and_the_operations_of_an_agent(dispatcher: Dispatcher, home: Path) -> None:
    running = dispatcher.start_operation(AGENT_ID, SCRIPT, RUN, script(home, "first"))
    wait_until((home / "first.runs").exists, 30, "the operation to run")

    def shown() -> dict[str, object]:
        done = CliRunner().invoke(SHOW, [AGENT_ID, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    wait_until(lambda: (shown()["heartbeat"] or {}).get("running"), 30, "a heartbeat that names the operation")
    found = shown()
    assert [(each["operation"], each["execution_id"]) for each in found["operations"]] == [(RUN, running.id)]
    assert 170 < found["lease_ends_in_seconds"] <= 180
    text = CliRunner().invoke(SHOW, [AGENT_ID]).stdout
    for expected in ("its lease ends in", "1 running, 0 accepted, 0 reporting; 4 slots", RUN, running.id[:8]):
        assert expected in text
    (home / "first.go").touch()
    dispatcher.wait(running.id, timeout_seconds=30)
    unknown = CliRunner().invoke(SHOW, ["nobody"])
    assert unknown.exit_code == 2
