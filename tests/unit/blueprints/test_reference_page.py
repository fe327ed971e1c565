"""The examples of the language's reference page do what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from outrider.dispatcher.blueprint import BlueprintInvalid, load, prepare_deployment

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "blueprint.md"
EXAMPLE = re.compile(r"(?:<!-- errors: (?P<errors>[^>]*?) -->\n)?```yaml\n(?P<text>.*?)```", re.DOTALL)
HEAD = "tosca_definitions_version: cloudify_dsl_1_5\nimports: [cloudify/types/types.yaml]\n"
EXAMPLES = list(EXAMPLE.finditer(PAGE.read_text(encoding="utf-8")))


@pytest.mark.parametrize("example", EXAMPLES, ids=[str(number) for number in range(len(EXAMPLES))])
def test_an_example_of_the_reference(example: re.Match[str], tmp_path: Path) -> None:
    text = example["text"]
    path = tmp_path / "blueprint.yaml"
    path.write_text(text if "tosca_definitions_version" in text else HEAD + text, encoding="utf-8")
    if example["errors"]:
        with pytest.raises(BlueprintInvalid) as raised:
            load(path)
        assert [error.kind.label for error in raised.value.errors] == example["errors"].split()
    else:
        prepare_deployment(load(path).plan)


def test_the_scaling_example_makes_what_the_page_says(tmp_path: Path) -> None:
    text = next(example["text"] for example in EXAMPLES if "scale_pair" in example["text"])
    path = tmp_path / "blueprint.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    names = [item["node_id"] for item in prepare_deployment(load(path).plan)["node_instances"]]
    assert (names.count("host"), names.count("app")) == (4, 4)
