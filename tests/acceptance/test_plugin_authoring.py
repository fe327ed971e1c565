"""From nothing to a running operation: `outrider plugin new|test|run|install|env` as their pages tell it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LIMIT_SECONDS = 200
Outrider = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def outrider(tmp_path: Path) -> Outrider:
    """Run the command with a home of this test's own, in the folder of the new plugin once that is there."""
    environment = {**os.environ, "OUTRIDER_HOME": str(tmp_path / "home")}
    plugin = tmp_path / "web-notes"

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "outrider.cli", *arguments],
            cwd=plugin if plugin.exists() else tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        if "pytest cannot be fetched" in done.stderr or "No matching distribution" in done.stderr:
            pytest.skip("pip's index does not answer")
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


def environments(outrider: Outrider) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(outrider("plugin", "env", "list", "--json").stdout)
    return listed


def test_a_new_plugin_works_and_is_tried_tested_and_used(outrider: Outrider, tmp_path: Path) -> None:
    outrider("plugin", "new", "web-notes")
    plugin, note = tmp_path / "web-notes", tmp_path / "note"
    outrider("plugin", "new", "web-notes", "--folder", str(plugin), code=2)

    assert "5 passed" in outrider("plugin", "test").stdout
    another = plugin / "tests" / "test_more.py"
    another.write_text("def test_no():\n    assert not 'yet'\n")
    assert "1 failed" in outrider("plugin", "test", "--", "-k", "test_no", code=1).stdout
    another.unlink()

    operation = ("plugin", "run", "web_notes.operations.create", "-p", f"path={note}", "-p", "text=hello")
    made = json.loads(outrider(*operation, "--json").stdout)
    assert (made["verdict"], note.read_text()) == ("succeeded", "hello")
    assert [line["message"] for line in made["logs"]] == [f"wrote 5 characters to {note}"]
    refused = outrider(*operation, code=1)
    assert "NonRecoverableError" in refused.stdout
    assert "tried again                   no" in refused.stdout

    outrider("plugin", "install", ".")
    outrider("plugin", "install", ".", code=2)
    blueprint = plugin / "blueprint.yaml"
    blueprint.write_text(blueprint.read_text().replace("/tmp/my-plugin-note", str(note)))
    blueprint.write_text(blueprint.read_text().replace("/tmp/web-notes-note", str(note)))
    note.unlink()
    outrider("run", "blueprint.yaml", "-d", "trial", "-i", "text=from a blueprint")
    assert note.read_text() == "from a blueprint"
    outrider("run", "blueprint.yaml", "uninstall", "-d", "trial")
    assert not note.exists()

    first = [each["sha256"] for each in environments(outrider)]
    with (plugin / "web_notes" / "operations.py").open("a") as source:
        source.write("\n# edited\n")
    outrider("plugin", "install", ".", "--replace")
    outrider("plugin", "run", "web_notes.operations.delete", "-p", f"path={note}", "-p", "text=x")
    uses = {each["sha256"]: each["use"] for each in environments(outrider)}
    assert [uses.pop(each) for each in first] == ["unused"]
    assert list(uses.values()) == ["known plugin"]
    outrider("plugin", "env", "gc")
    assert {each["sha256"] for each in environments(outrider)} == set(uses)


def test_a_name_that_no_package_can_have_is_refused(outrider: Outrider, tmp_path: Path) -> None:
    done = outrider("plugin", "new", "Not A Name", code=2)
    assert "small letters" in done.stderr
    assert not any(path.name.startswith("Not") for path in tmp_path.iterdir())
