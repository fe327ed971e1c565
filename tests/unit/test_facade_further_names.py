"""Names that the facade's modules lack: from the copy that the plugin's wagon brought, or an error with the remedy."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outrider.plugins.cloudify import site_path
from tests.support.facade import facade_on_path
from tests.support.pythons import require_python


@pytest.fixture
def wagon(tmp_path: Path) -> Iterator[Path]:
    """A folder that stands for the plugin's environment: further down the path than the facade."""
    sys.path.append(str(tmp_path))
    try:
        with facade_on_path():
            yield tmp_path
    finally:
        sys.path.remove(str(tmp_path))


def brought(wagon: Path, module: str, text: str) -> None:
    """Put a module into the wagon, with the packages that it is in."""
    file = wagon.joinpath(*module.split(".")).with_suffix(".py")
    file.parent.mkdir(parents=True, exist_ok=True)
    for package in list(file.relative_to(wagon).parents)[:-1]:
        (wagon / package / "__init__.py").touch()
    file.write_text(text)


def imported(module: str, name: str) -> Any:
    """Run ``from module import name``."""
    found: dict[str, Any] = {}
    exec(f"from {module} import {name}", found)
    return found[name]


def test_a_name_comes_from_the_wagons_copy_and_all_others_stay_the_facades(wagon: Path) -> None:
    text = "from cloudify.exceptions import NonRecoverableError as E\ndef id_generator(): pass\ndef rare(): return E\n"
    brought(wagon, "cloudify.utils", text)
    rare = imported("cloudify.utils", "rare")
    assert rare() is imported("cloudify.exceptions", "NonRecoverableError")
    assert importlib.import_module("cloudify.utils").rare is rare
    assert len(imported("cloudify.utils", "id_generator")(9)) == 9
    assert sys.modules["cloudify.utils"].__file__ == str(site_path() / "cloudify" / "utils.py")


def test_a_package_takes_names_and_submodules_from_the_wagon_without_executing_it_for_the_latter(wagon: Path) -> None:
    brought(wagon, "cloudify_types.component.operations", "VALUE = 3\n")
    (wagon / "cloudify_types" / "component" / "__init__.py").write_text("raise AssertionError('not asked for')\n")
    assert imported("cloudify_types.component", "operations").VALUE == 3
    (wagon / "cloudify_types" / "component" / "__init__.py").write_text("from .operations import VALUE as SAME\n")
    importlib.invalidate_caches()
    assert imported("cloudify_types.component", "SAME") == 3


def test_a_copy_that_imports_names_of_its_own_by_another_module_is_executed_once(wagon: Path) -> None:
    brought(wagon, "dsl_parser.constants", "EARLY = [1]\nfrom dsl_parser.helper import LATE\n")
    brought(wagon, "dsl_parser.helper", "from dsl_parser.constants import EARLY\nLATE = EARLY\n")
    assert imported("dsl_parser.constants", "LATE") is imported("dsl_parser.constants", "EARLY")


@pytest.mark.parametrize(
    ("copy", "text"),
    [
        (None, r"and the plugin's wagon brought no dsl_parser\.constants: require the distribution that has it"),
        ("OTHER = 1\n", r"nor has it .*dsl_parser/constants\.py, which .*: require a version of that distribution"),
        ("import no_such_thing\n", r"cannot be imported \(ModuleNotFoundError: .*no_such_thing.*\): require what it"),
    ],
    ids=["no copy", "a copy without it", "a copy that cannot be imported"],
)
def test_what_is_nowhere_is_named_with_what_was_found_and_the_remedy(wagon: Path, copy: str | None, text: str) -> None:
    if copy is not None:
        brought(wagon, "dsl_parser.constants", copy)
    text = rf"^dsl_parser\.constants\.RARE is not provided by Outrider's cloudify interface, .*{text}"
    with pytest.raises(ImportError, match=text):
        imported("dsl_parser.constants", "RARE")
    with pytest.raises(AttributeError, match=text):
        _ = importlib.import_module("dsl_parser.constants").RARE
    assert not hasattr(importlib.import_module("dsl_parser.constants"), "RARE")


@pytest.mark.parametrize("module", ["cloudify.exceptions", "cloudify.state", "cloudify.workflows.tasks_graph"])
def test_classes_and_state_that_must_be_the_same_for_all_come_from_no_copy(wagon: Path, module: str) -> None:
    brought(wagon, module, "RARE = 1\n")
    with pytest.raises(ImportError, match=rf"^{module}\.RARE is not provided by .*do without the name"):
        imported(module, "RARE")


def test_every_module_of_the_facade_answers_for_what_it_lacks() -> None:
    site = site_path()
    # Single files that plugins copy to hosts, and what nobody imports by name.
    alone = {"cloudify/proxy/client.py", "cloudify/ctx_wrappers/ctx-py.py", "cloudify/ctx_wrappers/__init__.py"}
    silent = [
        path
        for path in (str(file.relative_to(site)) for file in sorted(site.rglob("*.py")))
        if path not in alone and not path.startswith("outrider_facade/")
        if "__getattr__" not in (site / path).read_text()
    ]
    assert silent == []


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.11", "3.12", "3.13"])
def test_the_import_statements_own_error_names_the_remedy_on_every_python(version: str) -> None:
    # -E -S: nothing but the facade. Which instruction imports a name is numbered differently by each version.
    code = "import sys; sys.path.insert(0, sys.argv[1])\nfrom dsl_parser.constants import RARE"
    command = [require_python(version), "-E", "-S", "-c", code, str(site_path())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "ImportError: dsl_parser.constants.RARE is not provided by Outrider's" in done.stderr
