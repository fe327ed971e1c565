"""What `-i` and `-p` take: name=value, files of names and values, both at once; a mistake is told with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from outrider.cli import blueprint as command
from outrider.cli.output import key_values

BLUEPRINT = """
tosca_definitions_version: cloudify_dsl_1_5
inputs: {name: {}, size: {default: 1}}
node_types: {t: {properties: {name: {}, size: {}}}}
node_templates: {n: {type: t, properties: {name: {get_input: name}, size: {get_input: size}}}}
"""


def written(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_files_and_single_values_are_read_together_and_the_last_one_counts(tmp_path: Path) -> None:
    yaml = written(tmp_path, "inputs.yaml", "name: Zoë\nport: 80\nsince: 2026-01-02\ntags: [a, {b: yes}]\n1: one\n")
    other = written(tmp_path, "more.json", '\ufeff{"port": 1e3,\n\t"name": "other"}')
    assert key_values([yaml], what="input") == {
        "name": "Zoë",
        "port": 80,
        "since": "2026-01-02",
        "tags": ["a", {"b": True}],
        "1": "one",
    }
    given = key_values(["name=first", yaml, other, "port=8080", "port=8081", "when=a=b"], what="input")
    assert (given["name"], given["port"], given["when"], given["since"]) == ("other", 8081, "a=b", "2026-01-02")
    assert key_values([written(tmp_path, "none.yaml", "{}")], what="input") == {}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.yaml", "name: x\nlist: [1, 2\n", "/a.yaml:3:1: "),
        ("a.yaml", "a: 1\nb: &x [*x]\n", "/a.yaml:2:8: the alias *x refers to the value that it stands in"),
        ("a.yaml", "a: 1\nb: 2\na: 3\n", "/a.yaml:3:1: a stands here again"),
        ("a.yaml", "a: !!python/name:os.system x\n", "/a.yaml:1:4: the tag "),
        ("a.yaml", "a: .nan\n", "/a.yaml:1:4: .nan is no number"),
        ("a.yaml", "- a\n- b\n", "/a.yaml holds no mapping of names to values, but a list"),
        ("a.yaml", "# to be written\n", "/a.yaml holds no mapping of names to values, but nothing"),
        ("a.yaml", b"a: \xff\n", "/a.yaml is not text in UTF-8 (byte 4)"),
        ("a.json", '{"a": 1,\n "b" 2}', "/a.json:2:6: Expecting ':' delimiter"),
        ("a.json", '{"a": NaN}', "/a.json: NaN is no number of JSON"),
        ("a.json", "3", "/a.json holds no mapping of names to values, but a number"),
    ],
)
def test_a_file_with_a_mistake_is_told_of_with_the_place(
    name: str, content: str | bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit):
        key_values([written(tmp_path, name, content)], what="input")
    assert f"error: {tmp_path}{said}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("inputs.yml", "input 'inputs.yml' is neither of the form name=value nor a file"),
        ("a\0b", "is neither of the form name=value nor a file"),
        ("x" * 5000, "is neither of the form name=value nor a file"),
        ("=1", "input '=1' is not of the form name=value"),
        ("/", "/ cannot be read: Is a directory"),
    ],
)
def test_what_is_neither_is_refused(given: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        key_values([given], what="input")
    assert said in capsys.readouterr().err


def test_a_deployment_gets_the_inputs_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main = tmp_path / "blueprint.yaml"
    main.write_text(BLUEPRINT)
    inputs = written(tmp_path, "inputs.yaml", "name: web\nsize: 3\n")
    command.show(main, stage=command.StageName.DEPLOYMENT, inputs=[inputs, "size=4"])
    (node,) = json.loads(capsys.readouterr().out)["nodes"]
    assert (node["properties"]["name"], node["properties"]["size"]) == ("web", 4)
