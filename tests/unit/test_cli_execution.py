"""`outrider execution cancel` asks through the store, and says there who asked."""

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
