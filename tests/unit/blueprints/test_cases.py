"""Runs the corpus: one data file per case, a blueprint and what must come of it.

A case file holds:

    rule      what the case shows, in words
    files     name -> text; `blueprint.yaml` is the main file
    inputs    of the deployment; its presence asks for a deployment plan
    plan      path in the plan -> value; paths go by `/`, and by id or name where the plan has a list
    deployment  the same for the deployment plan
    errors    all findings, in order: kind, and line and column in the main file (or `file`), perhaps `suggestion`
    warnings  all rules that `lint` finds, in order
    plugins   plugin name -> version -> plugin.yaml, for `plugin:` imports
    functions  that these plugins would add to the language
    blueprints  id -> text, for `blueprint:` imports
    parent    capabilities of the environment that the deployment stands in
    confine   whether the blueprint is one that was uploaded
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

import pytest
import yaml

from outrider.dispatcher.blueprint import (
    BlueprintInvalid,
    CatalogueBlueprint,
    CataloguePlugin,
    Kind,
    Settings,
    lint,
    load,
    prepare_deployment,
)

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
KEYS = frozenset(
    {
        *("rule", "files", "inputs", "plan", "deployment", "errors", "warnings"),
        *("plugins", "functions", "blueprints", "parent", "confine", "secrets", "validate_version"),
    }
)


class Plugins:
    """A catalogue of plugins from a case's data."""

    def __init__(self, plugins: dict[str, dict[str, str]], functions: list[str]) -> None:
        self._plugins = plugins
        self._functions = tuple(functions)

    def versions(self, name: str, *, distribution: Optional[str]) -> list[str]:
        return list(self._plugins.get(name, {}))

    def plugin(self, name: str, version: str, *, dsl_version: tuple[int, int]) -> CataloguePlugin:
        text = self._plugins[name][version]
        labels = {"plugin-label": {"values": [version]}}
        source = f"plugin:{name} {version}"
        return CataloguePlugin(name, version, text, source, blueprint_labels=labels, functions=self._functions)


class Blueprints:
    """A catalogue of uploaded blueprints from a case's data."""

    def __init__(self, blueprints: dict[str, str]) -> None:
        self._blueprints = blueprints

    def blueprint(self, blueprint_id: str) -> Optional[CatalogueBlueprint]:
        text = self._blueprints.get(blueprint_id)
        return None if text is None else CatalogueBlueprint(blueprint_id, text)


def lay_down(case: dict[str, Any], folder: Path) -> Path:
    """Write a case's files and return the main one."""
    for name, text in case["files"].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "blueprint.yaml"


def at_path(value: Any, path: str) -> Any:
    """Follow a path; list items with an id or a name go by it, else by index."""
    for step in path.split("/"):
        if isinstance(value, list):
            named = [item for item in value if isinstance(item, dict) and step in (item.get("id"), item.get("name"))]
            value = named[0] if named else value[int(step)]
        elif step == "#":
            value = len(value)
        else:
            value = value[step]
    return value


def settings_of(case: dict[str, Any]) -> Settings:
    """Return the settings that a case asks for."""
    return Settings(
        confine=case.get("confine", False),
        plugins=Plugins(case.get("plugins", {}), case.get("functions", [])),
        blueprints=Blueprints(case.get("blueprints", {})),
        validate_version=case.get("validate_version", True),
    )


def check_errors(found: BlueprintInvalid, expected: list[dict[str, Any]]) -> None:
    """Compare all findings with the expected ones."""
    shown = [
        {
            "kind": error.kind.label,
            **({"line": error.line, "column": error.column} if error.line else {}),
            **({"file": Path(error.file).name} if error.file and Path(error.file).name != "blueprint.yaml" else {}),
            **({"suggestion": error.suggestion} if error.suggestion else {}),
        }
        for error in found.errors
    ]
    trimmed = [
        {key: value for key, value in error.items() if key in expected[index]} if index < len(expected) else error
        for index, error in enumerate(shown)
    ]
    assert trimmed == expected, found.render()


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path, tmp_path: Path) -> None:
    case = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(case) <= KEYS
    main = lay_down(case, tmp_path)
    expected = case.get("errors")
    if expected:
        with pytest.raises(BlueprintInvalid) as raised:
            run(case, main)
        check_errors(raised.value, expected)
    else:
        run(case, main)


def run(case: dict[str, Any], main: Path) -> None:
    """Read the case's blueprint, make its deployment where it has inputs, and compare what it says of both."""
    blueprint = load(main, settings=settings_of(case))
    assert_paths(blueprint.plan, case.get("plan", {}))
    if "warnings" in case:
        assert [warning.rule for warning in lint(blueprint)] == case["warnings"]
    if "inputs" in case:
        parent = case["parent"].__contains__ if "parent" in case else None
        prepared = prepare_deployment(
            blueprint.plan, inputs=case["inputs"], secrets=case.get("secrets"), parent_capability=parent
        )
        assert_paths(prepared, case.get("deployment", {}))


def assert_paths(plan: Any, expected: dict[str, Any]) -> None:
    """Compare the values at the given paths."""
    found = {}
    for path in expected:
        try:
            found[path] = at_path(plan, path)
        except (KeyError, IndexError, ValueError):
            found[path] = "(absent)"
    assert found == expected


def test_corpus_is_large_enough() -> None:
    assert len(CASES) >= 300


def test_every_kind_of_mistake_has_a_case() -> None:
    found = {error["kind"] for path in CASES for error in yaml.safe_load(path.read_text()).get("errors") or ()}
    assert found == {kind.label for kind in Kind}
