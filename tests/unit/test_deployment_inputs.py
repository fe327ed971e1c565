"""Inputs of a deployment that moves to another blueprint."""

from __future__ import annotations

from pathlib import Path

from tests.support.workflow_world import world

HEAD = """
tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml]
node_templates: {n: {type: cloudify.nodes.Root}}
outputs: {size: {value: {get_input: size}}, name: {value: {get_input: name}}}
"""
FIRST = HEAD + "inputs: {size: {required: false}, name: {default: a}}"
SECOND = HEAD + "inputs: {size: {default: 3}, name: {default: b}}"


def test_an_input_that_was_absent_takes_the_new_default_and_one_that_was_there_stays(tmp_path: Path) -> None:
    with world(tmp_path, {"first": FIRST, "second": SECOND}) as made:
        assert made.dispatcher.outputs("app") == {"size": None, "name": "a"}
        made.finish(made.dispatcher.update("app", blueprint_id="second"))
        assert made.dispatcher.outputs("app") == {"size": 3, "name": "a"}
