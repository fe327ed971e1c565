"""The table of the compatible interface's names holds, in an environment that has nothing but the interface."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from outrider.agent.code import copy_code
from outrider.plugins.sdk.errors import NonRecoverableError
from tests.support import facade_names
from tests.support.facade import facade_on_path

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an agent puts on the path of plugins' processes."""
    return copy_code(tmp_path_factory.mktemp("sdk"))


def test_every_name_is_there_or_says_that_it_is_not(code: Path) -> None:
    # -S: none of this environment's packages.
    start = "import runpy, sys; sys.path.insert(0, sys.argv[1]); runpy.run_path(sys.argv[2], run_name='__main__')"
    command = [sys.executable, "-S", "-E", "-W", "error", "-c", start, str(code), facade_names.__file__]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.stderr) == ("", "")


def test_helpers_of_plugins_tests_run_or_say_what_they_are_not() -> None:
    with facade_on_path():
        helper = importlib.import_module("cloudify.test_utils.dispatch_helper")
        state = importlib.import_module("cloudify.state")
        assert helper.run(lambda word: f"{word} {state.ctx.instance.id}", word="on") == "on node_1"
        decorated = importlib.import_module("cloudify.test_utils").workflow_test("blueprint.yaml")(lambda: None)
        with pytest.raises(NonRecoverableError, match=r"cloudify\.test_utils\.workflow_test is not provided"):
            decorated()


def test_the_documentation_lists_what_is_not_there() -> None:
    page = (ROOT / "docs" / "how-to" / "bring-your-cloudify-plugin.md").read_text()
    section = page.partition("## What is not there")[2].partition("\n## ")[0]
    missing = {name[1:] for _, _, names in facade_names.lines() for name in names if name.startswith("!")}
    assert [name for name in sorted({*missing, "workflow_test"}) if f"{name}`" not in section] == []
