"""What a deployment is made of: inputs, also when it moves to another blueprint; labels; the environment around it."""

from __future__ import annotations

from pathlib import Path

import pytest

from outrider.dispatcher.blueprint import DeploymentInvalid
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


PARENT = """
tosca_definitions_version: cloudify_dsl_1_3
capabilities: {address: {value: 10.0.0.1}}
"""
CHILD = """
tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml]
inputs: {which: {default: address}, parent: {default: app}}
labels:
  csys-obj-parent: {values: [{get_input: parent}]}
  env: {values: [test]}
outputs:
  address: {value: {get_environment_capability: [{get_input: which}]}}
  label: {value: {get_label: [env, 0]}}
"""


def test_labels_of_a_blueprint_are_its_deployments_and_lead_to_the_environment(tmp_path: Path) -> None:
    with world(tmp_path, {"parent": PARENT, "child": CHILD}) as made:
        made.dispatcher.create_deployment("inside", "child")
        assert made.dispatcher.outputs("inside") == {"address": "10.0.0.1", "label": "test"}
        made.dispatcher.create_deployment("other", "child", details={"labels": {"env": ["mine"]}})
        assert made.dispatcher.outputs("other")["label"] == "mine"


def test_a_capability_that_the_environment_does_not_offer_is_missed_before_anything_is_made(tmp_path: Path) -> None:
    with world(tmp_path, {"parent": PARENT, "child": CHILD}) as made:
        labels = {"csys-obj-parent": ["app"]}
        with pytest.raises(DeploymentInvalid, match="no capability 'adress'"):
            made.dispatcher.create_deployment("inside", "child", inputs={"which": "adress"}, details={"labels": labels})
        # What nobody offers yet cannot be looked at.
        made.dispatcher.create_deployment("early", "child", inputs={"which": "adress", "parent": "comes-later"})


def test_a_deployment_has_the_display_name_that_its_blueprint_gives(tmp_path: Path) -> None:
    named = FIRST + "\ndeployment_settings: {display_name: {concat: ['Site of ', {get_input: name}]}}"
    with world(tmp_path, {"first": FIRST, "named": named}) as made:
        shown = [
            made.dispatcher.create_deployment(f"of-{blueprint}", blueprint, inputs={"name": "Ann"}).display_name
            for blueprint in ("first", "named")
        ]
        assert shown == ["of-first", "Site of Ann"]
