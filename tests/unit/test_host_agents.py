"""What a dispatcher does about agents on hosts: names, access by reference, enrolment, refusal without a broker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from outrider.dispatcher.builtin_operations import function_of
from outrider.dispatcher.dispatcher import Dispatcher
from outrider.dispatcher.errors import ExecutionFailed, OperationRefused
from outrider.dispatcher.files import EnrolmentRefused
from outrider.dispatcher.host_agents import INIT_SCRIPT, INSTALLER_ACCESS, agent_name, check_enrolment
from outrider.dispatcher.secrets import DatabaseTable, KeyRing, SecretStore
from outrider.dispatcher.store import agents, instances, plugins
from outrider.dispatcher.store.agents import Agent
from outrider.dispatcher.store.plugins import Plugin
from outrider.dispatcher.workflows import WorkflowUnavailable
from outrider.messaging.codec import encode
from outrider.messaging.embedded import EmbeddedBroker
from outrider.messaging.messages import OperationResult, OperationTask, PluginRef
from tests.support.scripted_agent import ScriptedAgent, succeeded
from tests.support.waiting import wait_until

BLUEPRINT = """
tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml]
plugins:
  cloud: {executor: central_deployment_agent, package_name: cloud, install: false}
  app: {executor: host_agent, package_name: app, install: false}
node_templates:
  vm:
    type: cloudify.nodes.Compute
    properties: {agent_config: {install_method: METHOD, max_workers: 2}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {implementation: cloud.tasks.create, inputs: INPUTS}
        delete: cloud.tasks.delete
      cloudify.interfaces.cloudify_agent: AGENT
  app:
    type: cloudify.nodes.Root
    interfaces: {cloudify.interfaces.lifecycle: {create: app.tasks.create}}
    relationships: [{type: cloudify.relationships.contained_in, target: vm}]
"""
ACCESS = {"management_url": "https://admin:the-password@broker"}


class Access:
    """Values that a test can tell from references."""

    def installer_access(self, agent_id: str) -> dict[str, Any]:
        return {**ACCESS, "agent": agent_id}

    def init_script(self, agent_id: str) -> str:
        return f"#!/bin/sh\n# the token of {agent_id}\n"


class World:
    """A dispatcher with the access, a central agent, and one host's agent that appears once it is installed."""

    def __init__(
        self, folder: Path, *, host_agents: Access | None, method: str, inputs: str = "{}", agent: str = "{}"
    ) -> None:
        (folder / "blueprint").mkdir()
        text = BLUEPRINT.replace("METHOD", method).replace("INPUTS", inputs).replace("AGENT", agent)
        (folder / "blueprint" / "blueprint.yaml").write_text(text)
        self.broker = EmbeddedBroker()
        self.transport, self.agents_transport = self.broker.transport(), self.broker.transport()
        self.dispatcher = Dispatcher(
            database=f"sqlite:///{folder / 'outrider.db'}",
            files=folder / "files",
            transport=self.transport,
            host_agents=host_agents,
        )
        secrets = SecretStore(DatabaseTable(self.dispatcher.database), KeyRing(folder / "secret.key"))
        self.dispatcher._secrets = secrets
        self.dispatcher.start_engine()
        with self.dispatcher.database.begin() as connection:
            for name in ("cloud", "app"):
                plugins.save(connection, Plugin(id=name, package_name=name, package_version="1.0", wagons=()))
        self.hosts: list[ScriptedAgent] = []
        self.central = ScriptedAgent(self.agents_transport, answer=self._answer)
        self.dispatcher.create_blueprint("app", folder / "blueprint" / "blueprint.yaml")
        self.dispatcher.create_deployment("app", "app")

    def _answer(self, task: OperationTask) -> OperationResult:
        if task.operation.endswith(".create") and task.plugin.name == "agent":
            name = task.context.extras["agent_name"]
            self.hosts.append(ScriptedAgent(self.agents_transport, name))
            return succeeded(task, cloudify_agent={"name": name, "version": "1.2", "install_method": "remote"})
        return succeeded(task)

    def sent(self, operation: str) -> OperationTask:
        return next(task for task in self.central.tasks if task.context.operation.endswith(operation))

    def agent(self, name: str) -> Agent | None:
        with self.dispatcher.database.read() as connection:
            return agents.by_ids(connection, [name]).get(name)

    def close(self) -> None:
        for each in (self.central, *self.hosts):
            each.stop()
        self.dispatcher.close()
        self.transport.close()
        self.agents_transport.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Any]:
    opened: list[World] = []

    def make(method: str = "remote", **how: Any) -> World:
        opened.append(World(tmp_path, method=method, **{"host_agents": Access(), **how}))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def test_the_installer_gets_its_access_by_reference_and_redeems_it(world: Any) -> None:
    made = world()
    made.dispatcher.run("install", "app", timeout_seconds=20)

    task = made.sent("cloudify_agent.create")

    assert task.operation == "outrider.installer.plugin.operations.create"
    assert task.plugin.builtin
    name = f"{INSTALLER_ACCESS}{task.context.extras['agent_name']}"
    assert task.secrets == (name,)
    assert task.context.extras["installer_access"] == {"$secret": name}
    assert b"the-password" not in encode(task)
    # Only while it runs: the attempt has ended, so nothing is handed out any more.
    made.central.redeem(task, [name])
    wait_until(lambda: made.central.replies, describe="the answer")
    assert not made.central.replies[0].ok


def test_a_running_installation_redeems_the_access(world: Any) -> None:
    made = world()
    asked: list[OperationTask] = []

    def hold(task: OperationTask) -> OperationResult | None:
        if task.plugin.name != "agent":
            return succeeded(task)
        asked.append(task)
        return None

    made.central.answer = hold
    execution = made.dispatcher.start("install", "app")
    wait_until(lambda: asked, describe="the installer's operation")
    (name,) = asked[0].secrets
    made.central.redeem(asked[0], [name])
    wait_until(lambda: made.central.replies, describe="the answer")

    assert made.central.replies[0].payload == {"secrets": {name: {**ACCESS, "agent": name.rpartition(":")[2]}}}
    made.dispatcher.cancel(execution.id)


def test_operations_of_contained_nodes_go_to_the_installed_agent_and_the_table_follows(world: Any) -> None:
    made = world()
    made.dispatcher.run("install", "app", timeout_seconds=20)

    (host,) = made.hosts
    assert [task.operation for task in host.tasks] == ["tasks.create"]
    row = made.agent(host.id)
    assert (row.deployment_id, row.instance) == ("app", host.id)
    assert row.details["install_method"] == "remote"
    assert row.details["version"] == "1.2"

    made.dispatcher.run("uninstall", "app", timeout_seconds=20)
    stop, delete = (made.sent(f"cloudify_agent.{name}") for name in ("stop", "delete"))
    assert stop.operation.endswith("operations.stop")
    assert delete.operation.endswith("operations.delete")
    assert made.agent(host.id) is None


def test_a_host_that_brings_its_agent_gets_a_script_by_reference_and_may_enrol(world: Any) -> None:
    made = world("init_script")
    made.dispatcher.run("install", "app", timeout_seconds=20)

    task = made.sent("lifecycle.create")
    name = made.hosts[0].id
    assert task.context.extras["agent_init_script"] == {"$secret": f"{INIT_SCRIPT}{name}"}
    assert task.secrets == (f"{INIT_SCRIPT}{name}",)
    with made.dispatcher.database.read() as connection:
        assert check_enrolment(connection, name).details["agent_config"] == {"max_workers": 2}

    made.hosts[0].heartbeat()
    wait_until(lambda: made.agent(name).last_seen_at is not None, describe="the heartbeat in the store")
    with made.dispatcher.database.read() as connection, pytest.raises(EnrolmentRefused, match="reports already"):
        check_enrolment(connection, name)


def test_a_host_that_goes_is_not_expected_any_more(world: Any) -> None:
    made = world("init_script")
    made.dispatcher.run("install", "app", timeout_seconds=20)
    name = made.hosts[0].id
    made.dispatcher.run("uninstall", "app", timeout_seconds=20)

    assert made.agent(name) is None
    assert "agent_init_script" not in made.sent("lifecycle.delete").context.extras
    with made.dispatcher.database.read() as connection, pytest.raises(EnrolmentRefused, match="no host is expected"):
        check_enrolment(connection, name)


def test_an_agent_that_never_reported_is_stopped_from_the_centre(world: Any) -> None:
    made = world("init_script")
    named = {"cloudify_agent": {"name": "never-came"}}
    made.central.answer = lambda task: succeeded(task, **(named if task.plugin.name == "agent" else {}))
    made.dispatcher.run("install", "app", {"node_ids": ["vm"]}, timeout_seconds=20)

    made.dispatcher.run("uninstall", "app", timeout_seconds=20)

    assert made.sent("cloudify_agent.stop_amqp").operation == "outrider.plugins.host.operations.stop"


@pytest.mark.parametrize("name", [f"{INSTALLER_ACCESS}vm", f"{INIT_SCRIPT}vm"])
def test_a_blueprint_cannot_name_what_is_reserved(world: Any, name: str) -> None:
    # A function whose name is known only at run time gets past the check of the deployment's secrets.
    made = world(inputs=f'{{stolen: {{get_secret: {{concat: ["{name}", ""]}}}}}}')

    with pytest.raises(ExecutionFailed, match="names of secrets cannot begin with 'outrider:'"):
        made.dispatcher.run("install", "app", timeout_seconds=20)
    assert made.central.tasks == []


def test_the_installers_operations_are_for_the_central_agent_only(world: Any) -> None:
    made = world(agent="{create: {executor: host_agent}}")

    with pytest.raises(ExecutionFailed, match="runs on the central agent, not on"):
        made.dispatcher.run("install", "app", timeout_seconds=20)


@pytest.mark.parametrize("method", ["remote", "init_script"])
@pytest.mark.parametrize("owner", ["a host of another deployment", "nobody, but it is alive"])
def test_another_hosts_name_is_not_to_be_had_and_stays_what_it_is(world: Any, method: str, owner: str) -> None:
    made = world(f"{method}, service_name: web")
    database = made.dispatcher.database
    made.dispatcher.create_deployment("other", "app")
    with database.begin() as connection:
        now = database.now(connection)
        row = Agent(id="web", created_at=now, last_seen_at=now)
        if owner != "nobody, but it is alive":
            view = next(iter(instances.of_deployment(connection, ("default_tenant", "other")).values()))
            instances.save(connection, ("default_tenant", "other"), [replace(view, state="started")])
            row = replace(row, deployment_id="other", instance=view.id, last_seen_at=None)
        agents.save(connection, row)

    with pytest.raises(ExecutionFailed, match="the name 'web' is that of another host's agent"):
        made.dispatcher.run("install", "app", timeout_seconds=20)
    made.dispatcher.run("uninstall", "app", timeout_seconds=20)

    assert made.agent("web") == row
    removing = [task for task in made.central.tasks if task.context.operation.endswith("cloudify_agent.delete")]
    assert all("installer_access" not in task.context.extras for task in removing)


@pytest.mark.parametrize("method", ["remote", "init_script"])
def test_the_central_agents_name_is_not_to_be_had_also_before_it_was_heard_of(world: Any, method: str) -> None:
    made = world(f"{method}, service_name: central")

    with pytest.raises(ExecutionFailed, match="the name 'central' is that of another host's agent, or the central"):
        made.dispatcher.run("install", "app", timeout_seconds=20)
    made.dispatcher.run("uninstall", "app", timeout_seconds=20)

    assert (known := made.agent("central")) is None or known.instance is None


def test_the_name_of_an_agent_that_is_gone_is_free(world: Any) -> None:
    made = world("remote, service_name: web")
    with made.dispatcher.database.begin() as connection:
        agents.save(connection, Agent(id="web", deployment_id="gone", instance="vm_1", created_at=1.0))

    made.dispatcher.run("install", "app", timeout_seconds=20)

    assert made.agent("web").deployment_id == "app"


def test_without_a_broker_the_workflow_is_refused_and_the_remedy_named(world: Any) -> None:
    made = world(host_agents=None)

    with pytest.raises(WorkflowUnavailable, match=r"vm \(remote\).*outrider broker setup"):
        made.dispatcher.start("install", "app")


def test_without_a_broker_hosts_without_agents_are_fine(world: Any) -> None:
    made = world("none", host_agents=None)

    made.dispatcher.start("install", "app")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, "vm_abc123"),
        ({"service_name": "web"}, "web"),
        ({"extra": {"service_name": "web.example"}}, "web-example"),
        ({"service_name": {"get_attribute": ["vm", "name"]}}, "vm_abc123"),
    ],
)
def test_an_agent_is_named_by_its_configuration_or_its_instance(config: dict[str, Any], expected: str) -> None:
    assert agent_name({"properties": {"agent_config": config}}, "vm_abc123") == expected


def test_only_known_operations_of_the_builtin_plugin_are_found() -> None:
    builtin, other = PluginRef("agent", "1", builtin=True), PluginRef("agent", "1")

    assert function_of(builtin, "cloudify_agent.operations.stop") == "outrider.plugins.host.operations.stop"
    assert function_of(other, "cloudify_agent.operations.stop") == "cloudify_agent.operations.stop"
    with pytest.raises(OperationRefused, match=r"has no operation 'os\.system'"):
        function_of(builtin, "os.system")
