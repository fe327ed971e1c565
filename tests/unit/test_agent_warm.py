"""What a runner imports ahead, so that no operation's process has to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from outrider.agent.runner.warm import Warm

SITE = Path(__file__).parents[2] / "plugins" / "cloudify" / "site"


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of modules, forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


def test_what_a_module_names_is_imported_ahead_with_it(modules: Path) -> None:
    (modules / "light.py").write_text('OUTRIDER_IMPORTS_AHEAD = ("heavy",)\n')
    (modules / "heavy.py").write_text("")
    warm = Warm(limit_seconds=10)
    warm.load("light")
    assert "heavy" in sys.modules
    assert warm.failures == {}


def test_what_it_names_and_cannot_be_imported_is_a_failure_of_the_module(modules: Path) -> None:
    (modules / "light.py").write_text('OUTRIDER_IMPORTS_AHEAD = ("missing_altogether",)\n')
    warm = Warm(limit_seconds=10)
    warm.load("light")
    assert "missing_altogether" in warm.failures["light"]


def test_scripts_have_what_runs_them_imported_ahead() -> None:
    program = (
        "import sys; from outrider.agent.runner.warm import Warm; warm = Warm(limit_seconds=30);"
        "warm.load('script_runner.tasks'); assert not warm.failures, warm.failures;"
        "assert 'outrider.plugins.script.tasks' in sys.modules"
    )
    # In a process of its own: the compatible facade stays for good where it was imported.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SITE), *sys.path])}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)


def test_a_runner_brings_no_module_that_python_calls_after_every_fork() -> None:
    program = (
        "import sys, outrider.agent.runner.main; print(*sorted({'threading', 'logging', 'random'} & {*sys.modules}))"
    )
    # Isolated, as tests' own tools are loaded here; the path is what a runner's `boot` would make it.
    found = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {program}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert found.stdout.split() == []
