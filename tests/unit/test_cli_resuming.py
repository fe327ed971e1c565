"""`outrider execution why|decide`: an operation that failed is named with the command that decides about it.

What is decided is checked where the command and the manager both ask for it: names of inputs are the plan's.
"""

from __future__ import annotations

import getpass
import re
from pathlib import Path
from typing import Any

import pytest
import typer

from outrider.cli import resuming as command
from outrider.cli.follow import follow
from outrider.cli.output import console
from outrider.cli.progress import Line, SilentDisplay
from outrider.dispatcher.edited_inputs import require_known
from outrider.dispatcher.errors import UnknownInputs
from outrider.dispatcher.store import decisions, events, executions
from outrider.dispatcher.store.executions import Execution, Status
from outrider.dispatcher.store.tasks import DecisionKind, StoredTask, TaskState
from outrider.dispatcher.wishes import DIRECT
from outrider.dispatcher.workflows.brought import FUNCTION, function_graph
from outrider.dispatcher.workflows.graph import Task, TaskGraph, TaskKind
from tests.support.engines import Bench, bench, chain, one_stage, operation
from tests.support.managers import manager_here
from tests.support.scripted_agent import ScriptedAgent, failed, succeeded


class Lines(SilentDisplay):
    """Keeps what it would show."""

    def __init__(self) -> None:
        super().__init__(console)
        self.texts: list[str] = []

    def line(self, line: Line) -> None:
        self.texts.append(line.message)


@pytest.fixture
def command_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have commands work on the store of a bench in the folder that this returns."""
    monkeypatch.setenv("OUTRIDER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OUTRIDER_DATABASE_URL", f"sqlite:///{tmp_path / 'store.db'}")
    return tmp_path


def good_and_bad() -> TaskGraph:
    """Return the graph of `failed_execution`."""
    return chain(operation("good"), operation("bad", kwargs={"mode": "bad"}, max_retries=0))


def failed_execution(made: Bench) -> str:
    """Run `good`, and `bad`, which fails until its input `mode` is edited."""
    agent = ScriptedAgent(made.transport)
    agent.answer = lambda task: failed(task, "disk full") if task.inputs.get("mode") == "bad" else succeeded(task)
    execution_id = made.start()
    assert made.ended(execution_id).status is Status.FAILED
    return execution_id


def test_why_prints_what_decide_takes(command_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with bench(command_home, one_stage(good_and_bad())) as made:
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


#: `size` is the blueprint's, `mode` the workflow's.
KNOWN = "its inputs are mode, size"


def test_an_input_that_the_plan_does_not_have_is_refused_unless_it_is_allowed(
    command_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with bench(command_home, one_stage(good_and_bad()), inputs={"size": 3}) as made:
        execution_id = failed_execution(made)
        bad = made.tasks(execution_id)["bad"].id

        with pytest.raises(typer.Exit):
            command.decide(bad, DecisionKind.RETRY, inputs=["mdoe=good", "size=4"])
        said = capsys.readouterr().err
        assert f"the plan of test.do has no input 'mdoe': {KNOWN}; if" in said
        assert "say so with --allow-new-inputs" in said
        with pytest.raises(typer.Exit):
            command.decide(bad, DecisionKind.DONE, inputs=["mode=good"])
        assert f"inputs are for a retry: done sends operation {bad} nothing" in capsys.readouterr().err
        assert made.tasks(execution_id)["bad"].decision is None, "what is refused decides nothing"

        command.decide(bad, DecisionKind.RETRY, inputs=["mode=good", "size=4"])
        command.decide(bad, DecisionKind.RETRY, inputs=["mode=good", "debug=true"], allow_new_inputs=True)
        decision = made.tasks(execution_id)["bad"].decision
        assert decision is not None
        assert decision["inputs"] == {"mode": "good", "debug": True}


def test_the_manager_refuses_such_an_input_too(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(good_and_bad()), inputs={"size": 3}) as made:
        execution_id = failed_execution(made)
        path = f"/outrider/v1/operations/{made.tasks(execution_id)['bad'].id}/decide"
        with manager_here(tmp_path) as (running, _manager):
            body = {"decision": "retry", "inputs": {"mdoe": "good"}}
            refused = running.call("POST", path, json=body)
            assert (refused.status_code, refused.json()["error_code"]) == (400, "bad_parameters_error")
            assert f"no input 'mdoe': {KNOWN}; if" in refused.json()["message"]
            assert "send allow_new_inputs" in refused.json()["message"]
            allowed = running.call("POST", path, json={**body, "allow_new_inputs": True})
            assert allowed.status_code == 200
        decision = made.tasks(execution_id)["bad"].decision
        assert decision is not None
        assert decision["inputs"] == {"mdoe": "good"}


def test_the_inputs_of_a_direct_operation_and_of_a_workflows_function_are_those_that_they_were_sent(
    tmp_path: Path,
) -> None:
    record = {"plugin": "script", "operation": "tasks.run", "inputs": {"script_path": "a.sh"}}
    direct = Execution(
        id="direct", workflow=DIRECT, details={"direct": {"record": record, "plugin_entry": {"name": "script"}}}
    )
    function = Execution(id="function", workflow="rotate", deployment_id="app")
    shared: dict[str, Any] = {
        "graph_id": "",
        "position": 0,
        "dependencies": (),
        "state": TaskState.FAILED,
        "attempt": 1,
    }
    shared |= {"retries": 0, "not_before": None, "error": None, "decision": None}
    rotate = function_graph({"days": 3}).tasks[FUNCTION]
    run = Task(id="run", kind=TaskKind.OPERATION, operation="tasks.run")
    with bench(tmp_path, one_stage(chain(operation("a")))) as made, made.database.begin() as connection:
        for each in (direct, function):
            executions.insert(connection, each, now=0)
        of_direct = StoredTask(id="d", execution_id="direct", task=run, **shared)
        of_function = StoredTask(id="f", execution_id="function", task=rotate, **shared)
        require_known(connection, of_direct, {"script_path": "b.sh"})
        require_known(connection, of_function, {"days": 4})
        with pytest.raises(UnknownInputs, match="no inputs 'days', 'x': its inputs are script_path"):
            require_known(connection, of_direct, {"days": 4, "script_path": "b.sh", "x": 1})
        with pytest.raises(UnknownInputs, match="no input 'script_path': its inputs are days"):
            require_known(connection, of_function, {"script_path": "b.sh"})
