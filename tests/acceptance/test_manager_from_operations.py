"""Operations that call the manager back, as existing plugins do: nobody told the agent where it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.managers import Running, manager_process
from tests.support.wagons import tar_bytes
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BLUEPRINT = """
tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml]
inputs: {told: {}}
node_templates:
  first: {type: cloudify.nodes.Root}
  asking:
    type: cloudify.nodes.Root
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {implementation: ask.py, max_retries: 0, inputs: {told: {get_input: told}}}
    relationships:
      - {type: cloudify.relationships.depends_on, target: first}
workflows:
  ask: {mapping: ask_workflow.py, parameters: {execution: {}}}
"""
SIDE = """
tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml]
node_templates: {alone: {type: cloudify.nodes.Root}}
"""
SCRIPT = """
from cloudify import ctx, manager, utils
from cloudify.state import ctx_parameters
from cloudify_rest_client.exceptions import CloudifyClientError

client = manager.get_rest_client()
found = client.node_instances.list(deployment_id=ctx.deployment.id)
# What several plugins do: keep what they made as a secret, and run a deployment of their own.
client.secrets.create("made", "by an operation", update_if_exists=True)
client.deployments.create("side", "side")
started = client.executions.start("side", "install")
try:
    client.plugins.delete("any")
except CloudifyClientError as error:
    refused = error.status_code
ctx.instance.runtime_properties.update(
    {
        "nodes": sorted(each.node_id for each in found),
        "region": client.secrets.get("region").value,
        "refused": refused,
        "started": started.id,
        "address": [utils.get_manager_rest_service_protocol(), ctx.rest_host, ctx.rest_port],
    }
)
# For the test alone: to look for it where it must not be, and to use it once the execution has ended.
with open(ctx_parameters.told, "w") as file:
    file.write(ctx.execution_token)
"""
WORKFLOW = """
from cloudify.workflows import ctx, parameters

asking, = ctx.get_node("asking").instances
asking.runtime_properties["of workflow"] = [ctx.get_secret("region"), ctx.get_execution(parameters.execution).status]
ctx.update_node_instance(asking)
"""


def run(running: Running, told: Path) -> dict[str, Any]:
    """Install the blueprint; return what its script found."""
    files = {"blueprint.yaml": BLUEPRINT, "ask.py": SCRIPT, "ask_workflow.py": WORKFLOW}
    archive = tar_bytes({f"app/{name}": text.encode() for name, text in files.items()})
    assert running.call("PUT", "/secrets/region", json={"value": "eu-west-1"}).ok
    assert running.call("PUT", "/blueprints/app", data=archive).ok
    assert running.call("PUT", "/blueprints/side", data=tar_bytes({"side/blueprint.yaml": SIDE.encode()})).ok
    assert running.call("PUT", "/deployments/app", json={"blueprint_id": "app", "inputs": {"told": str(told)}}).ok
    installed = execute(running, "install")
    execute(running, "ask", {"execution": installed})
    instances = running.call("GET", "/node-instances?node_id=asking").json()["items"]
    properties: dict[str, Any] = instances[0]["runtime_properties"]
    return properties


def execute(running: Running, workflow: str, parameters: dict[str, Any] | None = None) -> str:
    """Run a workflow to its end; return the execution's id."""
    body = {"deployment_id": "app", "workflow_id": workflow, "parameters": parameters or {}}
    started = running.call("POST", "/executions", json=body).json()

    def ended() -> dict[str, Any] | None:
        found = running.call("GET", f"/executions/{started['id']}").json()
        return found if found["status"] in ("terminated", "failed") else None

    execution = wait_until(ended, 120, f"{workflow} to end")
    assert execution is not None
    assert execution["status"] == "terminated", execution
    return str(execution["id"])


def test_an_operation_calls_the_manager_with_a_token_that_is_written_nowhere(tmp_path: Path) -> None:
    home, told = tmp_path / "home", tmp_path / "told"
    with manager_process(home, "--tls") as running:
        found = run(running, told)
        side = running.call("GET", f"/executions/{found.pop('started')}").json()
        assert (side["deployment_id"], side["workflow_id"], side["created_by"]) == ("side", "install", "admin")
        assert running.call("GET", "/secrets/made").json()["value"] == "by an operation"
        assert found == {
            "nodes": ["asking", "first"],
            "region": "eu-west-1",
            "refused": 403,
            "of workflow": ["eu-west-1", "terminated"],
            "address": ["https", "127.0.0.1", running.port],
        }
        token = told.read_text()
        refused = running.call("GET", "/node-instances", user=None, headers={"Execution-Token": token})
        assert (refused.status_code, "has ended with its execution" in refused.text) == (401, True), refused.text
        assert token not in json.dumps(running.call("GET", "/tokens").json())
    secret = token.rpartition("-")[2].encode()
    holding = [file for file in home.rglob("*") if file.is_file() and secret in file.read_bytes()]
    assert holding == [], "the token's secret part is on disk"
