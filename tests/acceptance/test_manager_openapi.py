"""The OpenAPI document, and a manager that is sent whatever the document allows: every answer is one that was meant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from outrider.manager_stub import Manager, live
from outrider.manager_stub.app import create_app
from tests.support.managers import PASSWORD, Running, manager_here
from tests.support.wagons import WagonMaker, tar_bytes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

#: Each operation gets that many requests: enough for every parameter to take odd values.
EXAMPLES = 10
BLUEPRINT = b"""
tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml]
inputs: {name: {default: you}}
node_templates:
  web: {type: cloudify.nodes.Root, properties: {}}
outputs: {greeting: {value: {get_input: name}}}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Manager]]:
    with manager_here(tmp_path_factory.mktemp("manager"), refusals_per_minute=100_000) as found:
        yield found


@pytest.fixture(scope="module")
def known(served: tuple[Running, Manager], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Fill the store; parameter's name → something that exists."""
    running, _ = served
    call = running.call

    def made(method: str, path: str, **arguments: Any) -> dict[str, Any]:
        answer = call(method, path, **arguments)
        assert answer.ok, answer.text
        return dict(answer.json())

    made("PUT", "/blueprints/app", data=tar_bytes({"app/blueprint.yaml": BLUEPRINT}))
    made("PUT", "/deployments/app", json={"blueprint_id": "app", "inputs": {}})
    execution = made("POST", "/executions", json={"deployment_id": "app", "workflow_id": "install"})["id"]
    made("PUT", "/secrets/door", json={"value": "1234"})
    plugin = made("POST", "/plugins", data=WagonMaker(name="toy").write(tmp_path_factory.mktemp("w")).read_bytes())
    instance = call("GET", "/node-instances").json()["items"][0]["id"]
    made("PUT", "/agents/agent-1", json={"state": "started", "node_instance_id": instance})
    update = made("POST", "/deployment-updates/app/update/initiate", json={"preview": True})
    return {
        "blueprint_id": "app", "deployment_id": "app", "execution_id": execution, "workflow_id": "install",
        "key": "door", "plugin_id": plugin["id"], "instance_id": instance, "node_instance_id": instance,
        "update_id": update["id"], "name": "agent-1", "file_tenant": "default_tenant", "path": "blueprint.yaml",
        "tenant_name": "default_tenant", "username": "admin", "node_id": "web",
    }  # fmt: skip


@pytest.fixture(scope="module")
def app(served: tuple[Running, Manager]) -> FastAPI:
    return create_app(served[1])


def replaced(values: Any, known: dict[str, str]) -> Any:
    """Return parameters or a body with what exists in place of what was made up."""
    if not isinstance(values, dict):
        return values
    return {name: known.get(name, value) for name, value in values.items()}


def test_the_document_tells_parameters_credentials_and_errors(app: FastAPI) -> None:
    document = app.openapi()
    listing = document["paths"]["/api/v3.1/deployments"]["get"]
    names = {each["name"] for each in listing["parameters"]}
    assert {"_size", "_offset", "_sort", "_include", "Tenant"} <= names
    assert {"token": []} in listing["security"]
    assert "error_code" in json.dumps(listing["responses"]["default"])
    upload = document["paths"]["/api/v3.1/blueprints/{blueprint_id}"]["put"]
    assert "multipart/form-data" in upload["requestBody"]["content"]
    assert "security" not in document["paths"]["/api/version"]["get"]


def test_nothing_that_the_document_allows_ends_in_a_defect(
    app: FastAPI, known: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing runs here, so an execution's events would be followed for as long as the client bears it.
    monkeypatch.setattr(live, "LONGEST_SECONDS", 0.3)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    defects: list[str] = []
    answers: dict[str, set[int]] = {}
    for found in schema.get_all_operations():
        operation = found.ok()

        @seed(20261122)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(), real=st.booleans())
        def send(case: Any, real: bool) -> None:
            if real:
                case.path_parameters = replaced(case.path_parameters, known)
                case.query, case.body = replaced(case.query, known), replaced(case.body, known)
            # What exists is needed by all; its end is tested elsewhere.
            if case.method == "DELETE" and real:
                return
            answer = case.call(auth=("admin", PASSWORD), headers={"Tenant": "default_tenant"})
            answers.setdefault(case.operation.label, set()).add(answer.status_code)
            if answer.status_code >= 500:
                defects.append(f"{case.operation.label}: {answer.status_code} {answer.text[:200]}\n{case!r}")

        send()
    assert defects == []
    assert len(answers) > 90
    # It was not all refused at the door: the routes' own code was reached.
    reached = [label for label, codes in answers.items() if any(code < 300 or code == 409 for code in codes)]
    assert len(reached) > 60, sorted(set(answers) - set(reached))
