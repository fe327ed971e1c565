"""Names that the shell completes: found in this machine's store, and quietly none where something is wrong."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from outrider.cli import completing, profiles
from outrider.cli.home import VARIABLE
from outrider.cli.profiles import Profile
from outrider.dispatcher.store import deployments, executions
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.deployments import Deployment
from outrider.dispatcher.store.executions import Execution


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.delenv(profiles.VARIABLE, raising=False)
    return tmp_path


def test_names_of_this_machine_are_found_the_newest_execution_first(home: Path) -> None:
    database = Database(f"sqlite:///{home / 'outrider.db'}")
    with database.begin() as connection:
        for name in ("app", "app-two", "other", "a_p"):
            deployments.insert(connection, Deployment(id=name, blueprint_id="b"), nodes=[], node_instances=[], now=1)
        for number in range(3):
            run = Execution(id=f"e-{number}", workflow="install", deployment_id="app", force=True)
            executions.insert(connection, run, now=number)
    database.close()
    assert completing.deployments("app") == ["app", "app-two"]
    assert completing.deployments("a_") == ["a_p"], "no wildcards"
    assert completing.executions("e-") == ["e-2", "e-1", "e-0"]


def test_looking_makes_no_store(home: Path) -> None:
    assert completing.deployments("") == []
    assert not (home / "outrider.db").exists()


def test_a_mistake_in_the_settings_is_no_text_in_the_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OUTRIDER_DATABASE_URL", "nonsense://")
    assert completing.deployments("") == []
    assert capsys.readouterr() == ("", "")


def test_a_manager_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(completing, "PATIENCE_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        profiles.save(Profile(name="silent", url=f"http://127.0.0.1:{silent.getsockname()[1]}", token=""))
        profiles.use("silent")
        assert completing.blueprints("") == []
    assert capsys.readouterr() == ("", "")


def test_profiles_are_completed_and_only_known_ones_removed() -> None:
    profiles.save(Profile(name="north", url="http://127.0.0.1:1", token=""))
    assert completing.profiles("") == ["north", "local"]
    assert completing.managers("") == ["north"]
