"""The ecosystem's own operation-side code, unmodified: `cloudify.dispatch` and its REST client call the manager.

Outrider's agent runs operations without them; other tools that embed this code, and hosts that still have it, must find
everything that it asks for. It lies in the virtual environment of `cfy`, whose dependency it is.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from outrider.dispatcher.store import executions
from outrider.dispatcher.store.executions import Execution, Status
from outrider.manager_stub import Manager
from tests.support.cfy import installed
from tests.support.managers import Running, manager_here
from tests.support.wagons import WagonMaker, tar_bytes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BLUEPRINT = b"""
tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml]
node_types:
  Service:
    derived_from: cloudify.nodes.Root
    properties: {port: {default: 80}}
node_templates:
  base: {type: cloudify.nodes.Root}
  web:
    type: Service
    relationships: [{type: cloudify.relationships.depends_on, target: base}]
capabilities:
  url: {value: {concat: ["http://host:", {get_property: [web, port]}]}}
"""
#: What plugins do with their context; each line is a call to the manager.
OPERATIONS = """
from cloudify import ctx, manager
from cloudify.decorators import operation
from cloudify.exceptions import NonRecoverableError

@operation
def create(**kwargs):
    ctx.logger.info("creating %s", ctx.instance.id)
    ctx.send_event("half way")
    ctx.instance.runtime_properties["port"] = ctx.node.properties["port"]
    ctx.instance.update()
    ctx.instance.runtime_properties["more"] = {"a": [1, 2]}
    client = manager.get_rest_client()
    return {
        "type": ctx.node.type_hierarchy[-1],
        "secret": client.secrets.get("door").value,
        "resource": ctx.get_resource("files/motd").decode().strip(),
        "blueprint": client.blueprints.get(ctx.blueprint.id).id,
        "instances": sorted(each.node_id for each in client.node_instances.list(deployment_id=ctx.deployment.id)),
        "url": client.deployments.capabilities.get(ctx.deployment.id).capabilities["url"],
        "asked": kwargs.get("asked"),
    }

@operation
def link(**_):
    ctx.source.instance.runtime_properties["linked"] = ctx.target.instance.id

@operation
def stubborn(**_):
    ctx.instance.runtime_properties["tried"] = True
    raise NonRecoverableError("it cannot work")
"""


@dataclass(frozen=True)
class Host:
    """A machine with the operation-side code."""

    running: Running
    manager: Manager
    folder: Path
    execution_id: str
    instances: Mapping[str, str]

    def dispatch(self, function: str, *, context: Mapping[str, Any] | None = None, **inputs: Any) -> dict[str, Any]:
        """Run an operation as an agent of the ecosystem does; return what it wrote."""
        described = {
            "__cloudify_context": "0.3",
            "type": "operation",
            "task_id": "task-1",
            "task_name": f"operations.{function}",
            "task_queue": "agent_x",
            "task_target": "agent_x",
            "execution_id": self.execution_id,
            "workflow_id": "install",
            "deployment_id": "app",
            "blueprint_id": "app",
            "tenant": {"name": "default_tenant"},
            "plugin": {"name": "p", "package_name": "p", "package_version": "1", "properties": {}},
            "operation": {"name": "cloudify.interfaces.lifecycle.create", "retry_number": 0, "max_retries": 0},
            "execution_token": self.manager.execution_token(self.execution_id),
            "rest_host": "127.0.0.1",
            "rest_port": self.running.port,
            **(context if context is not None else {"node_id": self.instances["web"], "node_name": "web"}),
        }
        message = {"cloudify_context": described, "args": [], "kwargs": {"__cloudify_context": described, **inputs}}
        (self.folder / "input.json").write_text(json.dumps(message))
        done = self.python("-m", "cloudify.dispatch", str(self.folder))
        assert done.returncode == 0, done.stdout
        return dict(json.loads((self.folder / "output.json").read_text()))

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the interpreter that has the code."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.folder),
            "PYTHONWARNINGS": "ignore",
            "CLOUDIFY_DISPATCH": "true",
            "REST_HOST": "127.0.0.1",
            "REST_PORT": str(self.running.port),
            "REST_PROTOCOL": "http",
            "LOCAL_REST_CERT_FILE": str(self.folder / "input.json"),
            "MANAGER_FILE_SERVER_URL": f"{self.running.url}/resources",
            "AGENT_NAME": "agent_x",
            "AGENT_WORK_DIR": str(self.folder),
            "AGENT_LOG_DIR": str(self.folder),
        }
        return subprocess.run(
            [str(installed().parent / "python"), "-u", *arguments],
            env=environment,
            cwd=self.folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )

    def instance(self, node: str) -> dict[str, Any]:
        """Return an instance as stored."""
        return dict(self.running.call("GET", f"/node-instances/{self.instances[node]}").json())


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    (folder / "operations.py").write_text(OPERATIONS)
    with manager_here(tmp_path_factory.mktemp("manager")) as (running, manager):
        archive = tar_bytes({"app/blueprint.yaml": BLUEPRINT, "app/files/motd": b"welcome\n"})
        assert running.call("PUT", "/blueprints/app", data=archive).status_code == 201
        assert running.call("PUT", "/deployments/app", json={"blueprint_id": "app"}).status_code == 201
        assert running.call("PUT", "/secrets/door", json={"value": "1234"}).status_code == 200
        record = Execution(id="run", workflow="install", deployment_id="app", status=Status.STARTED)
        with manager.database.begin() as connection:
            executions.insert(connection, record, now=manager.database.now(connection))
        listed = running.call("GET", "/node-instances?deployment_id=app").json()["items"]
        yield Host(running, manager, folder, "run", {each["node_id"]: each["id"] for each in listed})


def test_an_operation_reads_and_writes_its_context(host: Host) -> None:
    answer = host.dispatch("create", asked="this")
    assert answer == {
        "type": "result",
        "payload": {
            "type": "Service",
            "secret": "1234",
            "resource": "welcome",
            "blueprint": "app",
            "instances": ["base", "web"],
            "url": "http://host:80",
            "asked": "this",
        },
    }
    assert host.instance("web")["runtime_properties"] == {"port": 80, "more": {"a": [1, 2]}}
    told = host.running.call("GET", "/events?execution_id=run").json()["items"]
    assert {(each["type"], each["message"]) for each in told} >= {
        ("cloudify_log", f"creating {host.instances['web']}"),
        ("cloudify_event", "half way"),
    }
    assert {each["node_instance_id"] for each in told} == {host.instances["web"]}


def test_inputs_with_functions_are_evaluated_by_the_manager(host: Host) -> None:
    context = {"node_id": host.instances["web"], "node_name": "web", "has_intrinsic_functions": True}
    answer = host.dispatch("create", context=context, asked={"get_property": ["SELF", "port"]})
    assert answer["payload"]["asked"] == 80


def test_a_relationship_changes_its_source(host: Host) -> None:
    related = {"node_id": host.instances["base"], "node_name": "base", "is_target": True}
    context = {"node_id": host.instances["web"], "node_name": "web", "related": related}
    assert host.dispatch("link", context=context)["type"] == "result"
    assert host.instance("web")["runtime_properties"]["linked"] == host.instances["base"]


def test_an_operation_may_do_only_what_operations_may(host: Host) -> None:
    code = (
        "from cloudify_rest_client import CloudifyClient\n"
        "from cloudify_rest_client.exceptions import CloudifyClientError\n"
        f"client = CloudifyClient(host='127.0.0.1', port={host.running.port}, protocol='http', "
        f"headers={{'Execution-Token': {host.manager.execution_token('run')!r}, 'Tenant': 'default_tenant'}})\n"
        "for call in (lambda: client.deployments.delete('app'), lambda: client.tokens.create(),\n"
        "             lambda: client.executions.start('app', 'uninstall')):\n"
        "    try: call(); print('done')\n"
        "    except CloudifyClientError as error: print(error.status_code, error.error_code)\n"
    )
    assert host.python("-c", code).stdout.split("\n")[:3] == ["403 forbidden_error"] * 3


def test_what_a_failed_operation_changed_is_kept(host: Host) -> None:
    answer = host.dispatch("stubborn")
    assert (answer["type"], answer["payload"]["exception_type"]) == ("error", "NonRecoverableError")
    assert host.instance("web")["runtime_properties"]["tried"] is True


def test_a_plugin_is_found_reported_and_fetched(host: Host, tmp_path: Path) -> None:
    wagon = WagonMaker(name="toy", version="1.2").write(tmp_path).read_bytes()
    assert host.running.call("POST", "/plugins", data=wagon).status_code == 201
    code = (
        "from cloudify_rest_client import CloudifyClient\n"
        f"client = CloudifyClient(host='127.0.0.1', port={host.running.port}, protocol='http', "
        f"headers={{'Execution-Token': {host.manager.execution_token('run')!r}, 'Tenant': 'default_tenant'}})\n"
        "found, = client.plugins.list(package_name='toy', package_version='1.2')\n"
        "client.plugins.set_state(found.id, state='installing', agent_name='agent_x')\n"
        "client.plugins.download(found.id, 'copy.wgn')\n"
        "client.plugins.set_state(found.id, state='installed', agent_name='agent_x')\n"
        "print(client.plugins.get(found.id)['installation_state'])\n"
        "client.agents.create('agent_x', 'web', create_rabbitmq_user=False, state='creating')\n"
        "client.agents.update('agent_x', state='started')\n"
        "print([each.state for each in client.agents.list().items if each.id == 'agent_x' or each.name == 'agent_x'])\n"
    )
    done = host.python("-c", code)
    assert "'state': 'installed'" in done.stdout, done.stdout
    assert "['started']" in done.stdout
    assert (host.folder / "copy.wgn").read_bytes() == wagon


def test_workflow_code_keeps_its_graphs_nodes_and_files_with_the_manager(host: Host) -> None:
    """Every call here insists on an exact status and a JSON body."""
    code = (
        "import os, pathlib, tempfile\n"
        "from cloudify_rest_client import CloudifyClient\n"
        f"client = CloudifyClient(host='127.0.0.1', port={host.running.port}, protocol='http', "
        f"headers={{'Execution-Token': {host.manager.execution_token('run')!r}, 'Tenant': 'default_tenant'}})\n"
        "one = {'id': 'op-1', 'name': 'NOP', 'type': 'NOPLocalWorkflowTask', 'dependencies': [], 'parameters': {}}\n"
        "graph = client.tasks_graphs.create('run', 'mine', operations=[one])\n"
        "client.operations.create('op-2', graph.id, 'p.create', 'RemoteWorkflowTask', {'task_kwargs': {}}, ['op-1'])\n"
        "client.operations.update('op-2', 'succeeded', result={'a': 1})\n"
        "client.operations.delete('op-1')\n"
        "print([each.name for each in client.tasks_graphs.list('run', 'mine')],"
        " [(each.id, each.state) for each in client.operations.list(graph.id)])\n"
        "client.nodes.create_many('app', [{'id': 'extra', 'type': 'cloudify.nodes.Root'}])\n"
        "client.nodes.update('app', 'extra', properties={'a': 1})\n"
        "client.node_instances.create_many('app', [{'id': 'extra_1', 'node_id': 'extra'}])\n"
        "print(client.nodes.get('app', 'extra').properties, client.node_instances.get('extra_1').state)\n"
        "client.node_instances.delete('extra_1')\n"
        "client.nodes.delete('app', 'extra')\n"
        "print(len(client.nodes.list(deployment_id='app')))\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    kept = pathlib.Path(folder, 'kept.txt')\n"
        "    kept.write_text('first')\n"
        "    client.resources.upload_deployment_file('app', 'data/kept.txt', str(kept), '2026-11-23T00:00:00')\n"
        "    client.resources.upload_deployment_workdir('app', folder)\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    with client.resources.sync_deployment_workdir('app', folder):\n"
        "        print(sorted(str(each.relative_to(folder)) for each in pathlib.Path(folder).rglob('*.txt')))\n"
        "        pathlib.Path(folder, 'kept.txt').unlink()\n"
        "        pathlib.Path(folder, 'new.txt').write_text('second')\n"
        "print(client.manager.get_config(name='blueprint_folder_max_files').value)\n"
    )
    done = host.python("-c", code)
    assert done.stdout.splitlines() == [
        "['mine'] [('op-2', 'succeeded')]",
        "{'a': 1} uninitialized",
        "2",
        "['data/kept.txt', 'kept.txt']",
        "10000",
    ], done.stdout
    index = host.running.call("GET", "/resources/deployments/default_tenant/app/").json()
    assert sorted(index) == ["data/kept.txt", "new.txt"], index


def test_a_workflow_that_runs_elsewhere_keeps_its_own_execution(host: Host) -> None:
    code = (
        "from cloudify_rest_client import CloudifyClient\n"
        "from cloudify_rest_client.exceptions import CloudifyClientError\n"
        f"client = CloudifyClient(host='127.0.0.1', port={host.running.port}, protocol='http', "
        f"username='admin', password={host.running.password!r}, tenant='default_tenant')\n"
        "made = client.executions.create('app', 'theirs', force=True, force_status='pending')\n"
        "client.executions.update(made.id, 'started')\n"
        "task = {'id': 'e-1', 'name': 'p.a', 'type': 'RemoteWorkflowTask', 'dependencies': [], 'parameters': {}}\n"
        "client.tasks_graphs.create(made.id, 'mine', operations=[task])\n"
        "for state in ('rescheduled', 'started', 'succeeded'): client.operations.update('e-1', state)\n"
        "client.executions.cancel(made.id)\n"
        "try: client.executions.update(made.id, 'started')\n"
        "except CloudifyClientError as error: print(type(error).__name__)\n"
        "client.executions.update(made.id, 'cancelled')\n"
        "ended = client.executions.get(made.id)\n"
        "print(ended.status, ended['finished_operations'], ended['total_operations'])\n"
    )
    done = host.python("-c", code)
    assert done.stdout.splitlines() == ["InvalidExecutionUpdateStatus", "cancelled 1 1"], done.stdout
