"""`outrider profile`, and the same commands against a manager on another machine: its own home, TLS, a token."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cfy import write_blueprint
from tests.support.managers import Running, manager_process
from tests.support.wagons import WagonMaker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

Outrider = Callable[..., str]


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with manager_process(tmp_path_factory.mktemp("manager") / "home", "--tls") as running:
        yield running


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("client") / "home"


@pytest.fixture(scope="module")
def outrider(home: Path, manager: Running) -> Outrider:
    """Run the command on another machine, so to say, with the manager in use."""

    def run(*arguments: str, code: int = 0, stdin: str = "", **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "outrider.cli", *arguments],
            env={**os.environ, "OUTRIDER_HOME": str(home), **environment},
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=110,
            check=False,
        )
        assert done.returncode == code, f"outrider {' '.join(arguments)}: {done.returncode}\n{done.stdout}"
        return done.stdout

    refused = run("profile", "add", "north", manager.url, "--user", "admin", code=5, stdin=f"{manager.password}\n")
    assert "--ca" in refused, "its authority is not trusted, and the text says what to do"
    authority = str(manager.home / "tls" / "ca.pem")
    assert "password is wrong" in run(
        "profile", "add", "north", manager.url, "--user", "admin", "--ca", authority, code=2, stdin="wrong\n"
    )
    added = run(
        "profile", "add", "north", manager.url, "--user", "admin", "--ca", authority, stdin=f"{manager.password}\n"
    )
    assert "is in use" in added
    return run


def test_a_profile_is_kept_for_its_owner_without_the_password(outrider: Outrider, home: Path, manager: Running) -> None:
    path = home / "profiles" / "north.json"
    assert path.stat().st_mode & 0o077 == 0
    assert manager.password not in path.read_text()
    token = json.loads(path.read_text())["token"]
    listed = outrider("profile", "list")
    assert manager.url in listed
    assert token not in listed
    assert "no profile" in outrider("profile", "use", "south", code=2)
    assert "this machine" in outrider("profile", "list", OUTRIDER_PROFILE="local")


def test_a_plugin_goes_there_and_back(outrider: Outrider, tmp_path: Path) -> None:
    wagon = WagonMaker(name="toy", version="1.2").write(tmp_path)
    assert "toy 1.2 is uploaded" in outrider("plugin", "upload", str(wagon))
    assert json.loads(outrider("plugin", "list", "--json"))[0]["package_name"] == "toy"
    copy = tmp_path / "copy.wgn"
    outrider("plugin", "download", "toy==1.2", "-o", str(copy))
    assert copy.read_bytes() == wagon.read_bytes()
    assert "exists" in outrider("plugin", "upload", str(wagon), code=2)
    outrider("plugin", "delete", "toy")
    assert "no plugin 'toy'" in outrider("plugin", "delete", "toy", code=2)


def test_a_deployment_lives_from_upload_to_deletion(outrider: Outrider, tmp_path: Path) -> None:
    outrider("blueprint", "upload", str(write_blueprint(tmp_path)), "-b", "app")
    assert "nonsense" in outrider("deployment", "create", "app", "-b", "app", "-i", "nonsense=1", code=2)
    outrider("deployment", "create", "app", "-b", "app", "-i", "name=you")
    installed = outrider("execution", "start", "install", "-d", "app")
    assert "line 1 for you" in installed
    assert "install terminated" in installed
    assert json.loads(outrider("deployment", "outputs", "app", "--json")) == {"greeting": "hello you"}
    assert "2 started" in outrider("deployment", "list")
    execution = json.loads(outrider("execution", "list", "-d", "app", "--json"))[-1]["id"]
    assert "line 1 for you" in outrider("events", execution[:8])
    assert "uninstall it" in outrider("deployment", "delete", "app", code=2)
    done = json.loads(outrider("execution", "start", "uninstall", "-d", "app", "--json"))
    assert done["status"] == "terminated"
    outrider("deployment", "delete", "app")
    outrider("blueprint", "delete", "app")
    assert json.loads(outrider("blueprint", "list", "--json")) == []


def test_a_failed_and_a_cancelled_execution_have_their_exit_codes(outrider: Outrider, tmp_path: Path) -> None:
    outrider("blueprint", "upload", str(write_blueprint(tmp_path)), "-b", "slow")
    outrider("deployment", "create", "slow", "-b", "slow", "-i", "pause=120")
    begun = json.loads(outrider("execution", "start", "install", "-d", "slow", "--no-wait", "--json"))
    outrider("execution", "cancel", begun["id"][:8], "--kill")
    outrider("execution", "watch", begun["id"][:8], code=3)
    assert "cancelled" in outrider("execution", "show", begun["id"][:8])


def test_a_secret_is_stored_and_never_shown(outrider: Outrider) -> None:
    outrider("secret", "set", "door", stdin="very 1234 secret\n")
    listed = outrider("secret", "list")
    assert "door" in listed
    assert "1234" not in listed
    outrider("secret", "delete", "door")


def test_names_at_the_manager_are_completed(outrider: Outrider, tmp_path: Path) -> None:
    def completed(words: str, **environment: str) -> list[str]:
        asked = {"_OUTRIDER_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        return outrider(**asked, **environment).split()

    outrider("blueprint", "upload", str(write_blueprint(tmp_path)), "-b", "tabbed")
    outrider("deployment", "create", "tabbed-one", "-b", "tabbed")
    outrider("deployment", "create", "tabbed-two", "-b", "tabbed")
    begun = json.loads(outrider("execution", "start", "install", "-d", "tabbed-one", "--json"))["id"]
    assert completed("outrider deployment show tab") == ["tabbed-one", "tabbed-two"]
    assert completed("outrider deployment update tabbed-two") == ["tabbed-two"]
    assert completed("outrider deployment create tab") == [], "a new one is not chosen among those that are there"
    assert completed("outrider deployment create new -b tab") == ["tabbed"]
    assert completed("outrider execution start install -d tabbed-o") == ["tabbed-one"]
    assert completed(f"outrider execution watch {begun[:6]}") == [begun]
    assert begun in completed("outrider events ")
    assert completed("outrider blueprint delete tab") == ["tabbed"]
    assert completed("outrider profile use n") == ["north"]
    assert completed("outrider profile use l") == ["local"]
    assert completed("outrider deployment show tab", OUTRIDER_PROFILE="local") == [], "this machine has none"
    assert completed("outrider deployment show tab", OUTRIDER_PROFILE="none") == [], "and a mistake is no text"


def test_without_an_answer_the_exit_code_says_so(outrider: Outrider, home: Path) -> None:
    gone = {**json.loads((home / "profiles" / "north.json").read_text()), "name": "gone", "url": "https://127.0.0.1:1"}
    (home / "profiles" / "gone.json").write_text(json.dumps(gone))
    assert "does not answer" in outrider("plugin", "list", code=5, OUTRIDER_PROFILE="gone")
    outrider("profile", "remove", "gone")
    assert "no profile" in outrider("plugin", "list", code=2, OUTRIDER_PROFILE="gone")
