"""`Dispatcher` in somebody's Python job: from a blueprint to its outputs, synchronous and asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from outrider.dispatcher.dispatcher import Dispatcher
from outrider.dispatcher.errors import ExecutionFailed
from outrider.dispatcher.store import deployments
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.executions import Execution, Status
from outrider.dispatcher.workflows import WorkflowUnavailable
from outrider.messaging.embedded import EmbeddedBroker
from outrider.messaging.messages import OperationResult, OperationTask
from tests.support.scripted_agent import ScriptedAgent, failed, succeeded
from tests.support.waiting import wait_until

BLUEPRINT = """
tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml]
inputs:
  port: {default: 80}
plugins:
  app: {executor: central_deployment_agent, package_name: app, package_version: "1.0", install: false}
node_types:
  app.Service:
    derived_from: cloudify.nodes.Root
    properties:
      port: {default: {get_input: port}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {implementation: app.tasks.create, inputs: {port: {default: {get_property: [SELF, port]}}}}
        start: {implementation: app.tasks.start}
        delete: {implementation: app.tasks.delete}
node_templates:
  database: {type: app.Service}
  web:
    type: app.Service
    relationships: [{type: cloudify.relationships.depends_on, target: database}]
outputs:
  address: {value: {concat: ["http://", {get_attribute: [web, address]}]}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "blueprint").mkdir()
    (tmp_path / "blueprint" / "blueprint.yaml").write_text(BLUEPRINT)
    return tmp_path


@pytest.fixture
def broker() -> EmbeddedBroker:
    return EmbeddedBroker()


@pytest.fixture
def dispatcher(folder: Path, broker: EmbeddedBroker) -> Iterator[Dispatcher]:
    from outrider.dispatcher.store import plugins
    from outrider.dispatcher.store.plugins import Plugin

    transport = broker.transport()
    with Dispatcher(database=str(folder / "o.db"), files=folder / "files", transport=transport) as made:
        with made.database.begin() as connection:
            plugins.save(connection, Plugin(id="p", package_name="app", package_version="1.0", wagons=()))
        made.create_blueprint("app", folder / "blueprint" / "blueprint.yaml")
        made.create_deployment("app-1", "app", inputs={"port": 8080})
        yield made
        assert not made._waiters._waiting, "nobody waits any more, so nothing is kept of it"
    transport.close()


@pytest.fixture
def agent(broker: EmbeddedBroker, dispatcher: Dispatcher) -> Iterator[ScriptedAgent]:
    transport = broker.transport()
    agent = ScriptedAgent(transport, answer=create_addresses)
    yield agent
    agent.stop()
    transport.close()


def create_addresses(task: OperationTask) -> OperationResult:
    if task.operation == "tasks.create" and task.context.node is not None:
        return succeeded(task, address=f"{task.context.node.node}:{task.inputs['port']}")
    return succeeded(task)


def test_install_and_uninstall(dispatcher: Dispatcher, agent: ScriptedAgent) -> None:
    execution = dispatcher.run("install", "app-1", timeout_seconds=30)
    assert execution.status is Status.TERMINATED
    done = [(task.context.node.node, task.operation) for task in agent.tasks if task.context.node]
    assert done == [
        ("database", "tasks.create"),
        ("database", "tasks.start"),
        ("web", "tasks.create"),
        ("web", "tasks.start"),
    ]
    assert dispatcher.outputs("app-1") == {"address": "http://web:8080"}
    with dispatcher.database.read() as connection:
        view = deployments.view(connection, ("default_tenant", "app-1"), config={})
    assert {each.state for each in view.instances.values()} == {"started"}
    dispatcher.run("uninstall", "app-1", timeout_seconds=30)
    assert [task.context.node.node for task in agent.tasks[4:] if task.context.node] == ["web", "database"]
    types = {each.event_type for each in dispatcher.events(execution_id=execution.id)}
    assert {"workflow_started", "sending_task", "task_succeeded", "workflow_succeeded"} <= types


def test_asyncio(dispatcher: Dispatcher, agent: ScriptedAgent) -> None:
    execution = asyncio.run(dispatcher.run_async("install", "app-1", timeout_seconds=30))
    assert execution.status is Status.TERMINATED


def test_a_failure_is_raised_with_its_reason(dispatcher: Dispatcher, agent: ScriptedAgent) -> None:
    agent.answer = lambda task: failed(task, "no space left", recoverable=False)
    with pytest.raises(ExecutionFailed, match="no space left"):
        dispatcher.run("install", "app-1", timeout_seconds=30)


def test_one_operation_on_an_agent(dispatcher: Dispatcher, agent: ScriptedAgent) -> None:
    agent.answer = lambda task: succeeded(task, value=task.inputs)
    plugin = {"name": "script"}
    value = dispatcher.run_operation("central", plugin, "tasks.run", {"a": 1}, timeout_seconds=30)
    assert value == {"a": 1}
    assert agent.tasks[0].timeout_seconds == 30


def test_a_plugin_that_was_built_here_is_run_by_this_dispatcher_and_no_other(
    folder: Path, broker: EmbeddedBroker, dispatcher: Dispatcher, agent: ScriptedAgent
) -> None:
    plugin = {"name": "app", "source": "app.py"}
    built = {"version": "1.0", "wagons": []}
    with closing(broker.transport()) as transport, closing(Database(dispatcher.database.url)) as database:
        # Another home's, on the same store; its engine is not started.
        other = Dispatcher(database=database, files=folder / "others", transport=transport)
        theirs = other.start_operation("central", {**plugin, "built": built}, "app.tasks.create")
        assert theirs.owner == other.engine.id
        ours = dispatcher.start_operation("central", {**plugin, "built": built}, "app.tasks.create")
        assert dispatcher.wait(ours.id, timeout_seconds=20).owner == dispatcher.engine.id
        # What came before it was left to the other.
        assert dispatcher.execution(theirs.id).status is Status.PENDING


def test_why_names_what_an_execution_waits_for(dispatcher: Dispatcher, agent: ScriptedAgent) -> None:
    agent.answer = lambda _task: None
    execution = dispatcher.start("install", "app-1")
    from tests.support.waiting import wait_until

    wait_until(lambda: agent.tasks, describe="the first task")
    reasons = [each for each in dispatcher.why(execution.id) if each.operation]
    open_ones = [each for each in reasons if each.agent_id == "central"]
    assert len(open_ones) == 1
    assert "central" in open_ones[0].waits_for
    assert any("tasks" in str(each.tasks) or each.tasks for each in reasons)
    dispatcher.cancel(execution.id)


def test_a_workflow_that_is_not_available_is_refused_unless_forced(
    dispatcher: Dispatcher, agent: ScriptedAgent
) -> None:
    with pytest.raises(WorkflowUnavailable, match="0 of 2 instances are started; force it"):
        dispatcher.start("stop", "app-1")
    forced = dispatcher.run("stop", "app-1", execution=Execution(id="", workflow="stop", force=True))
    assert forced.status is Status.TERMINATED
    assert agent.tasks == []


def test_a_queued_workflow_is_judged_when_its_turn_comes(dispatcher: Dispatcher, agent: ScriptedAgent) -> None:
    agent.answer = lambda _task: None
    install = dispatcher.start("install", "app-1")
    wait_until(lambda: len(agent.tasks) == 1, describe="the first operation")
    queued = dispatcher.start("uninstall", "app-1", execution=Execution(id="", workflow="uninstall", queue=True))
    assert queued.status is Status.QUEUED
    agent.answer = succeeded
    agent.send(succeeded(agent.tasks[0]))
    assert dispatcher.wait(install.id, timeout_seconds=20).status is Status.TERMINATED
    assert dispatcher.wait(queued.id, timeout_seconds=20).status is Status.TERMINATED


def test_a_scheduled_workflow_that_is_not_available_at_its_time_fails_with_the_rule(dispatcher: Dispatcher) -> None:
    asked = Execution(id="", workflow="uninstall", scheduled_for=1.0)
    ended = dispatcher.wait(dispatcher.start("uninstall", "app-1", execution=asked).id, timeout_seconds=20)
    assert ended.status is Status.FAILED
    assert "0 of 2 instances are started" in str(ended.error)


def test_one_operation_without_an_instance_fails_in_plain_words(dispatcher: Dispatcher, agent: ScriptedAgent) -> None:
    agent.answer = lambda task: failed(task, recoverable=False)
    with pytest.raises(ExecutionFailed, match=r"tasks\.greet on agent 'central' failed: Boom: it broke"):
        dispatcher.run_operation("central", {"name": "script"}, "tasks.greet", timeout_seconds=20)
