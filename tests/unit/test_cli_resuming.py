"""`outrider execution why|decide`: an operation that failed is named with the command that decides about it."""

from __future__ import annotations

import getpass
import re
from pathlib import Path

import pytest
import typer

from outrider.cli import resuming as command
from outrider.cli.follow import follow
from outrider.cli.output import console
from outrider.cli.progress import Line, SilentDisplay
from outrider.dispatcher.store import decisions, events, executions
from outrider.dispatcher.store.executions import Status
from outrider.dispatcher.store.tasks import DecisionKind
from tests.support.engines import Bench, bench, chain, one_stage, operation
from tests.support.scripted_agent import ScriptedAgent, failed, succeeded


class Lines(SilentDisplay):
    """Keeps what it would show."""

    def __init__(self) -> None:
        super().__init__(console)
        self.texts: list[str] = []

    def line(self, line: Line) -> None:
        self.texts.append(line.message)


def failed_execution(made: Bench) -> str:
    """Run `good`, and `bad`, which fails until its input `mode` is edited."""
    agent = ScriptedAgent(made.transport)
    agent.answer = lambda task: failed(task, "disk full") if task.inputs.get("mode") == "bad" else succeeded(task)
    execution_id = made.start()
    assert made.ended(execution_id).status is Status.FAILED
    return execution_id


def test_why_prints_what_decide_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OUTRIDER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OUTRIDER_DATABASE_URL", f"sqlite:///{tmp_path / 'store.db'}")
    graph = chain(operation("good"), operation("bad", kwargs={"mode": "bad"}, max_retries=0))
    with bench(tmp_path, one_stage(graph)) as made:
        execution_id = failed_execution(made)
        good, bad = (made.tasks(execution_id)[name].id for name in ("good", "bad"))

        command.why(execution_id[:8])
        shown = capsys.readouterr().out
        assert "disk full" in shown
        assert re.search(rf"^  outrider execution decide {bad} retry\|done\|skip", shown, re.MULTILINE)
        assert good not in shown
        assert f"then: outrider execution resume {execution_id[:8]}" in shown

        command.decide(bad, DecisionKind.RETRY, inputs=["mode=good"])
        told = capsys.readouterr()
        assert f'retry, with {{"mode": "good"}}; then: outrider execution resume {execution_id[:8]}' in told.out
        with pytest.raises(typer.Exit):
            command.decide(good, DecisionKind.SKIP)
        assert f"operation {good} is succeeded: there is nothing to decide about it" in capsys.readouterr().err

        with made.database.begin() as connection:
            made_decisions = decisions.of_execution(connection, execution_id)
            shown_before = events.last_id(connection, execution_id)
            executions.request_resume(connection, execution_id)
        assert {each.decided_by for each in made_decisions} == {getpass.getuser()}
        made.look()
        assert made.ended(execution_id).status is Status.TERMINATED

        display = Lines()
        follow(made.database, execution_id, display, after=shown_before)
        assert not [text for text in display.texts if "disk full" in text]
        assert display.texts[-1] == "'test' workflow execution succeeded"
