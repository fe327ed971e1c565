"""What an agent answers when it is told to upgrade: it fetches by hash, starts the program, and passes the word on."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from outrider.agent.errors import UpgradeRefused
from outrider.agent.upgrade import Upgrades
from outrider.messaging.codec import to_json
from outrider.messaging.messages import ControlKind, ControlRequest, FilesRef
from outrider.messaging.version import __version__
from tests.support.waiting import wait_until

#: Stands for the installer's program: writes down what it is asked.
PROGRAM = "import pathlib, sys; pathlib.Path({place!r}).write_text(sys.argv[1] + ' ' + sys.stdin.readline())"


@pytest.fixture
def upgrades(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Upgrades:
    """Those of an agent that runs from a version that an installer put there."""
    (tmp_path / "agent" / "versions" / "0.1.0").mkdir(parents=True)
    (tmp_path / "agent" / "current").symlink_to("versions/0.1.0")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "agent" / "current"))
    return Upgrades(tmp_path / "state")


def ask(upgrades: Upgrades, step: str, **payload: Any) -> dict[str, Any]:
    request = ControlRequest("r", ControlKind.UPGRADE, "a", "d", payload={"step": step, **payload})
    return upgrades.answer(request)


def keep(folder: Path, content: bytes) -> str:
    """Put a file where a dispatcher on this machine has it; returns its hash."""
    sha256 = hashlib.sha256(content).hexdigest()
    (folder / sha256[:2]).mkdir(parents=True, exist_ok=True)
    (folder / sha256[:2] / sha256).write_bytes(content)
    return sha256


def note(folder: Path, **said: Any) -> None:
    (folder / "state" / "upgrade").mkdir(parents=True, exist_ok=True)
    (folder / "state" / "upgrade" / "note.json").write_text(json.dumps(said))


def test_begin_fetches_bundle_and_program_and_starts_it_with_the_request(upgrades: Upgrades, tmp_path: Path) -> None:
    files, told = tmp_path / "files", tmp_path / "told"
    archive = keep(files, b"the bundle")
    program = keep(files, PROGRAM.format(place=str(told)).encode())
    request = {"id": "u1", "sha256": archive, "program": program, "version": "0.2.0", "gate_seconds": 5.0}
    answer = ask(upgrades, "begin", files=to_json(FilesRef(files.as_uri())), **request)
    assert answer == {"before": "0.1.0", "version": __version__}
    wait_until(lambda: told.exists() and told.read_text().endswith("\n"), 20, "the program to be started")
    wait_until(lambda: not upgrades.under_way, 20, "the program to end")
    action, _, text = told.read_text().partition(" ")
    passed = json.loads(text)
    assert action == "upgrade"
    assert Path(passed.pop("archive")).read_bytes() == b"the bundle"
    assert passed == {"id": "u1", "sha256": archive, "version": "0.2.0", "gate_seconds": 5.0}


def test_an_upgrade_that_a_reboot_interrupted_goes_on_with_the_way_back(upgrades: Upgrades, tmp_path: Path) -> None:
    told = tmp_path / "told"
    (tmp_path / "program.pyz").write_text(PROGRAM.format(place=str(told)))
    upgrades.go_on()
    # The pid that the program had before the reboot is another's by now.
    note(tmp_path, id="u1", phase="switched", before="0.0.9", version="0.1.0", pid=os.getpid())
    begun = {"id": "u1", "program": str(tmp_path / "program.pyz"), "gate_seconds": 5.0}
    (tmp_path / "state" / "upgrade" / "request.json").write_text(json.dumps(begun))
    upgrades.go_on()
    wait_until(lambda: told.exists() and told.read_text().endswith("\n"), 20, "the program to be started")
    wait_until(lambda: not upgrades.under_way, 20, "the program to end")
    passed = json.loads(told.read_text().partition(" ")[2])
    assert passed == {"id": "u1", "gate_seconds": 5.0, "before": "0.0.9", "name": "0.1.0"}


def test_a_bundle_that_cannot_be_fetched_is_refused_with_the_address(upgrades: Upgrades, tmp_path: Path) -> None:
    with pytest.raises(UpgradeRefused, match=f"cannot be fetched: .*{tmp_path}"):
        ask(upgrades, "begin", files={"url": f"file://{tmp_path}"}, sha256="ab" * 32, program="cd" * 32)


def test_a_second_upgrade_is_refused_while_one_is_under_way(upgrades: Upgrades, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "input(chr(10))", "upgrade"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        program.stdout.readline()
        note(tmp_path, id="u1", phase="switched", pid=program.pid)
        with pytest.raises(UpgradeRefused, match=r"the upgrade u1 is under way \(switched\)"):
            ask(upgrades, "begin")
        program.kill()


def test_an_agent_that_no_installer_put_there_refuses(tmp_path: Path) -> None:
    with pytest.raises(UpgradeRefused, match="where no installer put it"):
        ask(Upgrades(tmp_path), "begin")


def test_the_status_tells_the_note_and_the_version_that_answers(upgrades: Upgrades, tmp_path: Path) -> None:
    assert ask(upgrades, "status") == {"running": "0.1.0"}
    note(tmp_path, id="u1", phase="switched", before="0.0.9", version="0.1.0")
    # The link leads elsewhere as soon as there is a newer one; this process is still the old version.
    (tmp_path / "agent" / "current").unlink()
    (tmp_path / "agent" / "current").symlink_to("versions/0.2.0")
    assert ask(upgrades, "status")["running"] == "0.1.0"
    assert ask(upgrades, "status")["phase"] == "switched"


def test_the_word_about_an_upgrade_is_passed_on_and_about_an_unknown_one_refused(
    upgrades: Upgrades, tmp_path: Path
) -> None:
    note(tmp_path, id="u1", phase="switched")
    ask(upgrades, "decide", id="u1", keep=True)
    decided = json.loads((tmp_path / "state" / "upgrade" / "decision.json").read_text())
    assert decided == {"id": "u1", "keep": True, "reason": ""}
    with pytest.raises(UpgradeRefused, match="u2 is not known here"):
        ask(upgrades, "decide", id="u2", keep=True)
    with pytest.raises(UpgradeRefused, match="no step 'undo'"):
        ask(upgrades, "undo")
