"""What a deployment is made of: inputs, also when it moves to another blueprint; labels; the environment around it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from outrider.dispatcher.blueprint import DeploymentInvalid
from outrider.dispatcher.store import blueprints, deployments
from tests.support.workflow_world import World, world

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


LABELLED = """
tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml]
inputs: {stage: {default: dev}}
labels:
  stage: {values: [{get_input: stage}]}
  team: {values: [web]}
outputs: {stage: {value: {get_label: [stage, 0]}}}
"""
RELABELLED = LABELLED.replace("team: {values: [web]}", "tier: {values: [front]}")


def labels_of(made: World) -> Any:
    with made.database.read() as connection:
        return deployments.get(connection, ("default_tenant", "app")).details["labels"]


def set_labels(made: World, labels: dict[str, list[str]]) -> None:
    """Do as a client does who sends the full set."""
    with made.database.begin() as connection:
        present = deployments.get(connection, ("default_tenant", "app"))
        details = {**present.details, "labels": labels}
        deployments.update(connection, present.key, {"details": details}, now=made.database.now(connection))


def test_an_update_evaluates_the_blueprints_labels_anew(tmp_path: Path) -> None:
    with world(tmp_path, {"first": LABELLED, "second": RELABELLED}) as made:
        assert labels_of(made) == {"stage": ["dev"], "team": ["web"]}
        made.finish(made.dispatcher.update("app", inputs={"stage": "prod"}))
        assert labels_of(made) == {"stage": ["prod"], "team": ["web"]}
        assert made.dispatcher.outputs("app") == {"stage": "prod"}
        made.finish(made.dispatcher.update("app", blueprint_id="second", parameters={"install_first": True}))
        assert labels_of(made) == {"stage": ["prod"], "tier": ["front"]}


@pytest.mark.parametrize(
    ("by_hand", "then"),
    [
        ({"stage": ["dev", "eu"], "team": ["web"], "own": ["x"]}, {"stage": ["prod", "eu"], "own": ["x"]}),
        ({"stage": ["mine"], "team": ["db"], "tier": ["back"]}, {"stage": ["mine"], "team": ["db"], "tier": ["back"]}),
        ({"team": ["web", "db"]}, {"team": ["db"]}),
    ],
    ids=["added", "changed", "removed"],
)
def test_labels_that_were_set_by_hand_stay_in_an_update(
    tmp_path: Path, by_hand: dict[str, list[str]], then: dict[str, list[str]]
) -> None:
    with world(tmp_path, {"first": LABELLED, "second": RELABELLED}) as made:
        set_labels(made, by_hand)
        made.finish(made.dispatcher.update("app", blueprint_id="second", inputs={"stage": "prod"}))
        assert labels_of(made) == {"tier": ["front"], **then}


def test_an_update_leaves_the_blueprints_own_labels_and_owner_with_the_blueprint(tmp_path: Path) -> None:
    with world(tmp_path, {"first": LABELLED}) as made:
        with made.database.begin() as connection:
            of_blueprint = {"labels": {"team": ["blueprints"]}, "created_by": "who uploads"}
            record = replace(blueprints.get(connection, "default_tenant", "first"), details=of_blueprint)
            blueprints.save(connection, record, now=made.database.now(connection))
        made.finish(made.dispatcher.update("app", inputs={"stage": "prod"}))
        assert labels_of(made) == {"stage": ["prod"], "team": ["web"]}
        with made.database.read() as connection:
            assert "created_by" not in deployments.get(connection, ("default_tenant", "app")).details


def test_an_update_looks_for_capabilities_in_the_environment_that_it_moves_to(tmp_path: Path) -> None:
    other = PARENT.replace("address:", "name:")
    with world(tmp_path, {"parent": PARENT, "other": other, "child": CHILD}) as made:
        made.dispatcher.create_deployment("elsewhere", "other")
        made.dispatcher.create_deployment("inside", "child")
        made.finish(made.dispatcher.update("inside", inputs={"parent": "elsewhere", "which": "name"}))
        assert made.dispatcher.outputs("inside")["address"] == "10.0.0.1"
