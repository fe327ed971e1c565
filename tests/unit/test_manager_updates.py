"""Deployment updates over the REST API: planned by the dispatcher's planner, shown step by step, refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from outrider.dispatcher.store import executions
from outrider.dispatcher.store.executions import Status
from outrider.dispatcher.store.schema import EXECUTIONS
from outrider.manager_stub import Manager
from tests.support.managers import Running, manager_here

BLUEPRINT = """
tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml]
inputs:
  size: {type: integer, default: 1}
  name: {default: web}
node_types:
  app.Sized:
    derived_from: cloudify.nodes.Root
    properties: {size: {default: 0}}
node_templates:
  web: {type: app.Sized, properties: {size: {get_input: size}}}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Manager]]:
    folder: Path = tmp_path_factory.mktemp("manager")
    with manager_here(folder) as found:
        dispatcher = found[1].of_tenant("default_tenant")
        for name, text in {
            "first": BLUEPRINT,
            "second": f"{BLUEPRINT}  cache: {{type: cloudify.nodes.Root}}\n",
        }.items():
            path = folder / name / "blueprint.yaml"
            path.parent.mkdir()
            path.write_text(text)
            dispatcher.create_blueprint(name, path)
        dispatcher.create_deployment("app", "first", inputs={"name": "kept"})
        yield found


def initiate(served: tuple[Running, Manager], **body: Any) -> Any:
    return served[0].call("POST", "/deployment-updates/app/update/initiate", json=body)


def test_a_preview_names_each_step_and_starts_nothing(served: tuple[Running, Manager]) -> None:
    found = initiate(served, blueprint_id="second", inputs={"size": 2}, preview=True).json()
    assert found["steps"] == [
        {"entity_type": "node", "action": "add", "entity_id": ["nodes", "cache"]},
        {"entity_type": "property", "action": "modify", "entity_id": ["nodes", "web", "properties", "size"]},
    ]
    assert (found["state"], found["execution_id"]) == ("preview", None)
    assert (found["old_inputs"], found["new_inputs"]) == ({"name": "kept", "size": 1}, {"name": "kept", "size": 2})


def test_types_are_corrected_only_if_asked(served: tuple[Running, Manager]) -> None:
    assert initiate(served, inputs={"size": "3"}, preview=True).status_code == 400
    found = initiate(served, inputs={"size": "3"}, preview=True, auto_correct_types=True).json()
    assert found["new_inputs"]["size"] == 3


def test_another_workflow_in_its_place_is_one_of_the_new_blueprint(served: tuple[Running, Manager]) -> None:
    refused = initiate(served, workflow_id="my_update")
    assert (refused.status_code, refused.json()["error_code"]) == (400, "nonexistent_workflow_error")
    assert "unknown workflow 'my_update'" in refused.json()["message"]


def test_an_update_stands_where_its_execution_stands(served: tuple[Running, Manager]) -> None:
    running, manager = served
    begun = initiate(served, blueprint_id="second", install_first=True, workflow_id="install").json()
    assert begun["state"] == "updating"
    with manager.database.begin() as connection:
        execution = executions.get(connection, begun["execution_id"])
        assert (execution.workflow, execution.parameters["workflow_id"]) == ("update", "install")
        assert execution.parameters["install_first"] is True
        statement = sa.update(EXECUTIONS).where(EXECUTIONS.c.id == execution.id)
        connection.execute(statement.values(status=Status.TERMINATED.value))
    assert running.call("GET", f"/deployment-updates/{begun['id']}").json()["state"] == "successful"
