"""`outrider execution cancel` asks through the store, and says there who asked; `show` tells what operations left."""

from __future__ import annotations

import getpass
from contextlib import closing
from pathlib import Path

import pytest

from outrider.cli import execution as command
from outrider.cli.stores import open_database
from outrider.dispatcher.doorbell import Doorbell, For
from outrider.dispatcher.store import decisions, executions
from outrider.dispatcher.store.executions import Cancel, Execution
from outrider.dispatcher.store.tasks import TaskState
from outrider.messaging.messages import OperationError, OperationResult, OperationTask, Verdict
from tests.support.engines import bench, chain, one_stage, operation
from tests.support.scripted_agent import ScriptedAgent, ended


def test_a_cancel_is_stored_with_who_asked_and_heard_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OUTRIDER_HOME", str(tmp_path))
    with closing(open_database()) as database, closing(Doorbell(tmp_path / "bells", For.DISPATCHERS)) as bell:
        with database.begin() as connection:
            executions.insert(connection, Execution(id="e1", workflow="install"), now=1.0)
        command.cancel("e1", force=True)
        with database.read() as connection:
            (decided,) = decisions.of_execution(connection, "e1")
            asked = executions.get(connection, "e1").cancel
        assert bell.wait(10.0)
    assert (decided.decision, decided.decided_by) == (Cancel.FORCE.value, getpass.getuser())
    assert asked is Cancel.FORCE
    capsys.readouterr()
    command.show("e1")
    assert f"  {getpass.getuser()}: {Cancel.FORCE.value}\n" in capsys.readouterr().out


def a_fails_once_b_prints_c_fails(task: OperationTask) -> OperationResult:
    """Answer as three operations do that each leave something behind."""
    where = OperationError("Boom", "it broke", traceback='Traceback:\n  File "hello.py", line 7\nBoom: [it]\n')
    number = task.task_id.rsplit(".")[-1]
    if number == "0" and task.attempt_number == 1:
        return ended(task, Verdict.FAILED, error=where, stdout_tail="of the first try\n")
    if number == "2":
        error = OperationError("Boom", "it broke", traceback=where.traceback, recoverable=False)
        return ended(task, Verdict.FAILED, error=error, stdout_tail="".join(f"line {n}\n" for n in range(30)))
    return ended(task, Verdict.SUCCEEDED, stderr_tail="a warning\n" if number == "1" else "")


def test_what_failed_shows_its_traceback_and_the_end_of_what_it_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with bench(tmp_path, one_stage(chain(operation("a"), operation("b"), operation("c")))) as made:
        ScriptedAgent(made.transport, answer=a_fails_once_b_prints_c_fails)
        execution_id = made.start()
        made.until(lambda: [each.state for each in made.tasks(execution_id).values()][:1] == [TaskState.RESCHEDULED])
        made.clock.advance(made.settings.retry_interval_seconds)
        made.ended(execution_id)
        monkeypatch.setenv("OUTRIDER_HOME", str(tmp_path))
        monkeypatch.setenv("OUTRIDER_DATABASE_URL", made.database.url)
        command.show(execution_id)
        short = capsys.readouterr().out
        command.show(execution_id, output=True)
        full = capsys.readouterr().out
    assert 'do of node_1 failed:\n    Traceback:\n      File "hello.py", line 7\n    Boom: [it]\n' in short
    assert "printed to standard output, the last 20 lines (--output shows all that is kept):\n    line 10\n" in short
    assert "line 9\n" not in short
    assert "a warning" not in short
    assert "do of node_1 succeeded:\n  printed to standard error:\n    a warning\n" in full
    assert "printed to standard output:\n    line 0\n    line 1\n" in full
    assert "of the first try" not in full
