"""A made-up call of an operation: a mistake in its name is one line; an error of the plugin keeps its traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from outrider.plugins.sdk.testing import call


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A folder that stands for the plugin's environment."""
    package = tmp_path / "web_notes"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "operations.py").write_text(
        "from json import loads\nVERSION = '1'\ndef create(**_): return 1\ndef delete(**_): pass\n"
    )
    (package / "broken.py").write_text("print('once')\nimport no_such_dependency\n")
    (package / "inside").mkdir()
    (package / "inside" / "__init__.py").write_text("from web_notes.operations import nothing\n")
    return tmp_path


def bench_run(plugin: Path, operation: str) -> tuple[dict[str, Any], str]:
    """Run the bench as the command does; return what it wrote, and what was printed."""
    file = plugin / "call.json"
    file.write_text(json.dumps({"operation": operation}))
    code = f"import sys; sys.path.insert(0, {str(plugin)!r})\nfrom outrider.plugins.sdk.bench import main, Path\n"
    command = [sys.executable, "-c", f"{code}main(Path({str(file)!r}))"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(file.read_text()), done.stdout


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (
            "web_notes.operations.craete",
            "the module web_notes.operations ({0}/web_notes/operations.py) has no function",
        ),
        ("web_notes.operations.craete", "has no function 'craete'; near it is: create"),
        ("web_notes.operations.restart_it", "has no function 'restart_it'; it has: create, delete"),
        ("web_notes.operations.VERSION", "({0}/web_notes/operations.py) is of the type str, not a function"),
        ("web_notes.operation.create", "the module web_notes ({0}/web_notes/__init__.py) has no module 'operation'"),
        ("web_notes.operation.create", "has no module 'operation'; near it is: operations"),
        ("web_notes.zzz.create", "has no module 'zzz'; it has: broken, inside, operations"),
        ("web_note.operations.create", "there is no module 'web_note' in the plugin's environment ("),
        ("web_note.operations.create", "); near it is: web_notes"),
        ("web_notes.operations.create.now", "({0}/web_notes/operations.py) has no modules in it, so no 'create'"),
        ("create", "the operation 'create' does not have the form module.function"),
        ("web_notes..create", "the operation 'web_notes..create' does not have the form module.function"),
    ],
)
def test_a_mistake_in_the_name_is_one_line_with_the_place_and_the_nearest_names(
    plugin: Path, operation: str, text: str
) -> None:
    outcome, _ = bench_run(plugin, operation)
    assert list(outcome) == ["misnamed"]
    assert text.format(plugin) in outcome["misnamed"]
    assert "\n" not in outcome["misnamed"]


@pytest.mark.parametrize(
    ("operation", "line"),
    [
        ("web_notes.broken.create", "import no_such_dependency"),
        ("web_notes.inside.deeper.create", "from web_notes.operations import nothing"),
    ],
)
def test_an_import_error_inside_the_plugin_keeps_the_plugins_own_traceback(
    plugin: Path, operation: str, line: str
) -> None:
    outcome, printed = bench_run(plugin, operation)
    assert (outcome["verdict"], outcome["error"]["type"]) == ("failed", "OperationNotLoaded")
    assert line in outcome["error"]["traceback"]
    assert f"line {2 if 'broken' in operation else 1})" in outcome["error"]["message"]
    assert ("among the plugin's dependencies" in outcome["error"]["message"]) == ("broken" in operation)
    assert printed.count("once") == ("broken" in operation)


def test_what_an_agent_says_of_a_wrong_name_has_the_same_line(plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(plugin)
    for wrong, nearest in (
        ("web_notes.operations.craete", "near it is: create"),
        ("web_notes.operation.create", "near it is: operations"),
    ):
        run = call(wrong)
        assert run.error is not None
        assert run.error["message"].endswith(nearest)
        assert run.error["recoverable"] is False


def test_a_syntax_error_is_told_with_its_line_and_without_what_has_nothing_to_do_with_it(
    plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(plugin)
    (plugin / "mistyped.py").write_text("def create(**_)\n    pass\n")
    run = call("mistyped.create")
    assert run.error is not None
    assert run.error["message"].endswith("(mistyped.py, line 1)")
