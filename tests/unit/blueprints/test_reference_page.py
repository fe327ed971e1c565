"""The examples of the language's reference page do what the page says.

An example is a blueprint, or what a marker above it says: a file beside the next blueprint, a plugin or a blueprint
that was uploaded. A line of an output that ends in ``# gives: VALUE`` is compared with the deployment's output.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import pytest
import yaml

from outrider.dispatcher.blueprint import (
    BlueprintInvalid,
    CatalogueBlueprint,
    CataloguePlugin,
    Settings,
    load,
    prepare_deployment,
)
from outrider.dispatcher.blueprint import lint_warning as lint_module
from outrider.dispatcher.blueprint.constraints import OPERATORS
from outrider.dispatcher.blueprint.functions.names import FUNCTIONS
from outrider.dispatcher.blueprint.sections import SECTIONS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "blueprint.md"
BLOCK = re.compile(r"(?:<!-- (?P<marker>\w+): (?P<rest>[^>]*?) -->\n)?```yaml\n(?P<text>.*?)```", re.DOTALL)
GIVES = re.compile(r"^  (\w+): .*# gives: (.*)$", re.MULTILINE)
HEAD = "tosca_definitions_version: cloudify_dsl_1_5\nimports: [cloudify/types/types.yaml]\n"


@dataclass
class Example:
    """A blueprint of the page, with what stands beside it."""

    text: str
    errors: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    plugins: dict[str, tuple[str, str]] = field(default_factory=dict)
    blueprints: dict[str, str] = field(default_factory=dict)

    def versions(self, name: str, *, distribution: Optional[str]) -> list[str]:
        return [self.plugins[name][0]] if name in self.plugins else []

    def plugin(self, name: str, version: str, *, dsl_version: tuple[int, int]) -> CataloguePlugin:
        return CataloguePlugin(name, version, self.plugins[name][1], f"plugin:{name}")

    def blueprint(self, blueprint_id: str) -> Optional[CatalogueBlueprint]:
        text = self.blueprints.get(blueprint_id)
        return None if text is None else CatalogueBlueprint(blueprint_id, text)

    def lay_down(self, folder: Path) -> Path:
        path = folder / "blueprint.yaml"
        path.write_text(self.text if "tosca_definitions_version" in self.text else HEAD + self.text, encoding="utf-8")
        for name, text in self.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        return path


def examples() -> list[Example]:
    """Return the page's examples."""
    found, beside = [], Example("")
    for block in BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
        text, words = block["text"], (block["rest"] or "").split()
        if block["marker"] == "file":
            beside.files[words[0]] = text
        elif block["marker"] == "plugin":
            beside.plugins[words[0]] = (words[1], text)
        elif block["marker"] == "blueprint":
            beside.blueprints[words[0]] = text
        else:
            found.append(Example(text, words, beside.files, beside.plugins, beside.blueprints))
            beside = Example("")
    return found


EXAMPLES = examples()


@pytest.mark.parametrize("example", EXAMPLES, ids=[str(number) for number in range(len(EXAMPLES))])
def test_an_example_of_the_reference(example: Example, tmp_path: Path) -> None:
    path = example.lay_down(tmp_path)
    settings = Settings(plugins=example, blueprints=example)
    if example.errors:
        with pytest.raises(BlueprintInvalid) as raised:
            load(path, settings=settings)
        assert [error.kind.label for error in raised.value.errors] == example.errors
        return
    secrets = {"password": "x", "account": "x"}
    prepared = prepare_deployment(load(path, settings=settings).plan, inputs={}, secrets=secrets)
    expected: dict[str, Any] = {name: yaml.safe_load(value) for name, value in GIVES.findall(example.text)}
    assert {name: prepared["outputs"][name]["value"] for name in expected} == expected


def test_the_page_has_an_example_of_each_section_function_and_constraint() -> None:
    text = "".join(example.text for example in EXAMPLES)
    lacking = [name for name in (*SECTIONS, *FUNCTIONS, *OPERATORS) if f"{name}:" not in text]
    assert lacking == []


def test_the_scaling_example_makes_what_the_page_says(tmp_path: Path) -> None:
    text = next(example.text for example in EXAMPLES if "scale_pair" in example.text)
    path = tmp_path / "blueprint.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    names = [item["node_id"] for item in prepare_deployment(load(path).plan)["node_instances"]]
    assert (names.count("host"), names.count("app")) == (4, 4)


def test_the_page_names_every_warning() -> None:
    folder = Path(lint_module.__file__).parent
    code = "".join(path.read_text(encoding="utf-8") for path in folder.glob("lint*.py"))
    rules = set(re.findall(r'warning_at\(\s*"([a-z-]+)"', code))
    text = PAGE.read_text(encoding="utf-8")
    assert len(rules) > 10
    assert [rule for rule in sorted(rules) if f"`{rule}`" not in text] == []
