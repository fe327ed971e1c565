"""The stages of a blueprint's way to a plan, as `outrider blueprint show --stage` prints them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from outrider.dispatcher.blueprint import Blueprint, load, model_stage, nodes_stage, text_stage

MAIN = """\
tosca_definitions_version: cloudify_dsl_1_5
imports: [types.yaml]
dsl_definitions: &shared {port: 80}
node_templates:
  web: {type: app.Web, properties: *shared}
"""
TYPES = """\
node_types:
  app.Base: {properties: {port: {type: integer}, name: {default: base}}}
  app.Web:
    derived_from: app.Base
    interfaces: {life: {start: {implementation: start.sh, inputs: {quick: {default: true}}}}}
"""


@pytest.fixture
def blueprint(tmp_path: Path) -> Blueprint:
    (tmp_path / "types.yaml").write_text(TYPES)
    (tmp_path / "start.sh").write_text("true\n")
    main = tmp_path / "blueprint.yaml"
    main.write_text(MAIN)
    return load(main)


def places(blueprint: Blueprint, file: int) -> dict[str, tuple[int, int, Any]]:
    nodes = nodes_stage(blueprint)[file]["nodes"]
    return {each["path"]: (each["line"], each["column"], each.get("value")) for each in nodes}


def test_the_text_of_every_file_and_what_imported_it(blueprint: Blueprint) -> None:
    main, types = text_stage(blueprint)
    assert (main["text"], main["imported_by"]) == (MAIN, [])
    assert (types["text"], types["imported_by"]) == (TYPES, [main["file"]])


def test_every_node_with_its_place(blueprint: Blueprint) -> None:
    found = places(blueprint, 0)
    assert found["/imports"] == (2, 1, None)
    assert found["/imports/0"] == (2, 11, "types.yaml")
    assert found["/node_templates/web/type"] == (5, 9, "app.Web")
    # Through an alias one comes to where the anchor was written.
    assert found["/node_templates/web/properties/port"] == (3, 27, 80)
    assert places(blueprint, 1)["/node_types/app.Base/properties/name/default"] == (2, 57, "base")


def test_the_model_has_what_types_inherit_and_templates_complete(blueprint: Blueprint) -> None:
    found = model_stage(blueprint)
    assert found["node_types"]["app.Web"]["hierarchy"] == ["app.Base", "app.Web"]
    web = found["node_templates"]["web"]
    assert (web["type"], web["properties"]) == ("app.Web", {"port": 80, "name": "base"})
    assert web["interfaces"]["life"]["start"]["inputs"] == {"quick": True}
    assert web["at"].endswith("blueprint.yaml:5:3")


def test_every_stage_is_json(blueprint: Blueprint) -> None:
    for stage in (text_stage, nodes_stage, model_stage):
        json.dumps(stage(blueprint))
