"""Workflows that a plugin brings, from the blueprint to the stored result: embedded, real agent and processes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from outrider.agent.agent import Agent
from outrider.cli.home import Home
from outrider.cli.local import local_dispatcher, opened
from outrider.cli.settings import CommandSettings, ConnectionSettings
from outrider.dispatcher.dispatcher import Dispatcher
from outrider.dispatcher.errors import ExecutionFailed
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.store import deployments
from outrider.dispatcher.store.executions import Cancel, Status
from outrider.dispatcher.workflows import DeploymentView, ParameterError, PlanError, get_workflow
from outrider.dispatcher.workflows.preview import planned_operations
from tests.support.waiting import wait_until

SECONDS = 60.0

PLUGIN = textwrap.dedent(
    """
    import os
    from pathlib import Path
    from threading import Event

    from cloudify import ctx as operation_ctx
    from cloudify.decorators import operation, workflow
    from cloudify.exceptions import NonRecoverableError
    from cloudify.plugins import lifecycle
    from cloudify.plugins.workflows import auto_heal_reinstall_node_subgraph, execute_operation, scale_entity
    from cloudify.workflows import api, ctx as current_ctx, parameters
    from cloudify.workflows.tasks import HandlerResult
    from cloudify.workflows.tasks_graph import forkjoin, make_or_get_graph


    @operation(resumable=True)
    def note(ctx, text="", **_):
        notes = ctx.instance.runtime_properties.get("notes", [])
        ctx.instance.runtime_properties["notes"] = [*notes, text or ctx.operation.name.rpartition(".")[2]]
        ctx.instance.update()
        return f"{ctx.instance.id}: {text}"


    @operation
    def link(ctx, **_):
        notes = ctx.source.instance.runtime_properties.get("notes", [])
        ctx.source.instance.runtime_properties["notes"] = [*notes, ctx.operation.name.rpartition(".")[2]]


    @operation
    def fail(ctx, **_):
        raise NonRecoverableError("no such luck")


    @operation
    def wait_for(ctx, path, **_):
        Path(path + ".begun").touch()
        while not Path(path).exists():
            Event().wait(0.05)


    def instances(ctx, node_id):
        return sorted(ctx.get_node(node_id).instances, key=lambda each: each.id)


    @workflow
    def plain(ctx, text, **_):
        assert parameters.text == text and current_ctx.workflow_id == "plain"
        ctx.send_event("here we go")
        for instance in ctx.node_instances:
            instance.set_state("noted").get()
            print(instance.execute_operation("test.note", kwargs={"text": text}).get())
            ctx.refresh_node_instances()
            assert instance.runtime_properties["notes"] == [text], instance.runtime_properties
            assert instance.state == "noted"


    @workflow
    def graph(ctx, **_):
        graph = ctx.graph_mode()
        sequence = graph.sequence()
        both = [each.execute_operation("test.note", kwargs={"text": "first"}) for each in ctx.node_instances]
        sequence.add(forkjoin(*both))
        subgraph = graph.subgraph("second")
        inner = subgraph.sequence()
        for each in instances(ctx, "web"):
            inner.add(each.send_event("now"), each.execute_operation("test.note", kwargs={"text": "second"}))
            assert each.node.has_operation("test.note")
        sequence.add(subgraph)
        sequence.add(ctx.local_task(lambda: ctx.logger.info("local task ran")))
        graph.execute()
        assert all(each.get_state() == "succeeded" for each in both)
        assert both[0].async_result.get().endswith("first")


    @workflow
    def handlers(ctx, **_):
        graph = ctx.graph_mode()
        seen = []
        web = instances(ctx, "web")[0]
        failing = web.execute_operation("test.fail")
        failing.on_failure = lambda task: HandlerResult.ignore()
        after = web.execute_operation("test.note", kwargs={"text": "after"})
        after.on_success = lambda task: seen.append(task.id)
        graph.add_task(failing)
        graph.add_task(after)
        graph.add_dependency(after, failing)
        graph.execute()
        assert seen == [after.id], seen


    @operation
    def shaky(ctx, failures, **_):
        calls = ctx.instance.runtime_properties["calls"] = ctx.instance.runtime_properties.get("calls", 0) + 1
        if calls <= failures:
            raise RuntimeError(f"call {calls} did not go well")


    @workflow
    def judged(ctx, **_):
        # A handler judges each failure, at once; one that is never content comes to the limit.
        graph = ctx.graph_mode()
        web, = instances(ctx, "web")
        ignored = web.execute_operation("test.shaky", kwargs={"failures": 99})
        ignored.on_failure = lambda task: HandlerResult.ignore()
        graph.add_task(ignored)
        graph.execute()
        calls = []
        stubborn = web.execute_operation("test.fail")
        stubborn.on_failure = lambda task: calls.append(task.current_retries) or HandlerResult.retry(retry_after=0)
        stubborn.total_retries = 2
        graph.add_task(stubborn)
        try:
            graph.execute()
        except RuntimeError:
            assert calls == [0, 1, 2], calls
        else:
            raise AssertionError("it did not fail")


    @workflow
    def dissatisfied(ctx, **_):
        # A handler has a task repeated that succeeded; what waits for it waits on.
        graph = ctx.graph_mode()
        web, = instances(ctx, "web")
        first, second = (web.execute_operation("test.note", kwargs={"text": each}) for each in ("first", "second"))
        results = iter([HandlerResult.retry(retry_after=0), None])
        first.on_success = lambda task: next(results)
        graph.sequence().add(first, second)
        subgraph = graph.subgraph("group")
        third = subgraph.add_task(web.execute_operation("test.note", kwargs={"text": "third"}))
        graph.add_dependency(subgraph, second)
        again = iter([HandlerResult.retry(ignore_total_retries=True), None])
        subgraph.on_success = lambda task: next(again)
        graph.execute()
        assert first.current_retries == 1


    @workflow
    def group(ctx, path, own=False, **_):
        # A handler has a subgraph that failed repeated, or another take its place, when nothing of it runs.
        graph = ctx.graph_mode()
        web, = instances(ctx, "web")
        database, = instances(ctx, "database")
        subgraph = graph.subgraph("group")
        shaky = web.execute_operation("test.shaky", kwargs={"failures": 1})
        shaky.total_retries = 0
        slow = database.execute_operation("test.wait_for", kwargs={"path": path})
        subgraph.sequence().add(forkjoin(shaky, slow), web.execute_operation("test.note", kwargs={"text": "inside"}))
        subgraph.total_retries = 1

        def judge(failed):
            assert failed is subgraph and failed.failed_task is shaky
            Path(path).touch()
            result = HandlerResult.retry()
            if own:
                result.retried_task = graph.subgraph("instead")
                result.retried_task.add_task(web.execute_operation("test.note", kwargs={"text": "instead"}))
            return result

        subgraph.on_failure = judge
        after = graph.add_task(web.execute_operation("test.note", kwargs={"text": "after"}))
        graph.add_dependency(after, subgraph)
        graph.execute()


    @workflow
    def hopeless(ctx, **_):
        graph = ctx.graph_mode()
        web, = instances(ctx, "web")
        subgraph = graph.subgraph("group")
        subgraph.add_task(web.execute_operation("test.fail"))
        subgraph.on_failure = lambda failed: HandlerResult.retry()
        graph.execute()


    @workflow
    def here(ctx, **_):
        # Functions of the workflow's own are tried again like operations, unless they say that it is in vain.
        graph = ctx.graph_mode()
        calls = []

        def flaky():
            calls.append(len(calls))
            if len(calls) < 3:
                raise RuntimeError("not yet")

        graph.add_task(ctx.local_task(flaky, total_retries=2))
        graph.execute()
        assert calls == [0, 1, 2]
        assert ctx.internal.get_task_configuration()["retry_interval"] == 0.1

        def vain():
            raise NonRecoverableError("in vain")

        graph.add_task(ctx.local_task(vain))
        graph.execute()


    @workflow
    def caught(ctx, **_):
        graph = ctx.graph_mode()
        web, = instances(ctx, "web")
        sequence = graph.sequence()
        sequence.add(web.execute_operation("test.fail"), web.execute_operation("test.note", kwargs={"text": "never"}))
        try:
            graph.execute()
        except RuntimeError as error:
            assert "no such luck" in str(error), error
        else:
            raise AssertionError("it did not fail")
        graph.add_task(web.execute_operation("test.note", kwargs={"text": "instead"}))
        graph.execute()


    @workflow
    def failing(ctx, **_):
        instances(ctx, "web")[0].execute_operation("test.fail").get()


    @workflow
    def life(ctx, **_):
        graph = ctx.graph_mode()
        lifecycle.install_node_instances(graph, set(ctx.node_instances))
        assert {each.state for each in ctx.node_instances} == {"started"}
        execute_operation(ctx, "test.note", {"text": "lived"}, run_by_dependency_order=True)
        lifecycle.uninstall_node_instances(graph, set(ctx.node_instances))


    @workflow
    def waiting(ctx, path, **_):
        web, = instances(ctx, "web")
        try:
            web.execute_operation("test.wait_for", kwargs={"path": path}).get()
        except api.ExecutionCancelled:
            assert api.has_cancel_request()
            Path(path + ".cancelled").touch()
            raise


    @workflow(resumable=True)
    def stored(ctx, path, **_):
        @make_or_get_graph
        def build(ctx):
            graph = ctx.graph_mode()
            web, = instances(ctx, "web")
            sequence = graph.sequence()
            sequence.add(web.execute_operation("test.note", kwargs={"text": "one"}))
            sequence.add(web.execute_operation("test.note", kwargs={"text": "two"}))
            return graph

        build(ctx, name="stored").execute()
        Path(path + ".begun").touch()
        if not Path(path).exists():
            raise RuntimeError("the function failed after its graph")


    @workflow
    def crashing(ctx, path, **_):
        with open(path, "a") as file:
            file.write("called")
        os._exit(3)


    def change_of(ctx, count):
        change = ctx.deployment.start_modification({"web": {"instances": count}})
        assert [each.id for each in ctx.deployment.list_started_modifications()] == [change.id]
        return change


    @workflow
    def scaling(ctx, **_):
        graph = ctx.graph_mode()
        lifecycle.install_node_instances(graph, set(ctx.node_instances))
        change = change_of(ctx, 3)
        added = {each for each in change.added.node_instances if each.modification == "added"}
        related = {each for each in change.added.node_instances} - added
        assert (len(added), [each.node_id for each in related]) == (2, ["database"]), (added, related)
        assert ctx.get_node("web").planned_number_of_instances == 3
        lifecycle.install_node_instances(graph, added, related)
        change.finish()
        change = change_of(ctx, 2)
        gone = {each for each in change.removed.node_instances if each.modification == "removed"}
        lifecycle.uninstall_node_instances(graph, gone)
        change.finish()
        change.finish()
        given_up = change_of(ctx, 4)
        given_up.rollback()
        assert ctx.get_node("web").number_of_instances == 2
        assert not ctx.deployment.list_started_modifications()


    @workflow(resumable=True)
    def scaling_in_two_calls(ctx, path, **_):
        graph = ctx.graph_mode()
        change = ctx.deployment.start_modification({"web": {"instances": 2}})
        added = {each for each in change.added.node_instances if each.modification == "added"}
        lifecycle.install_node_instances(graph, added)
        if not Path(path).exists():
            raise RuntimeError("the function failed in the middle of its modification")
        change.finish()


    @workflow
    def planned(ctx, **_):
        graph = ctx.graph_mode()
        web, = instances(ctx, "web")
        database, = instances(ctx, "database")
        first = lifecycle.install_node_instance_subgraph(database, graph)
        second = lifecycle.install_node_instance_subgraph(web, graph)
        between = web.execute_operation("test.note", kwargs={"text": "between"})
        graph.add_task(between)
        graph.add_dependency(between, first)
        graph.add_dependency(second, between)
        graph.execute()
        assert {each.state for each in ctx.node_instances} == {"started"}
        processor = lifecycle.LifecycleProcessor(graph, [web])
        processor.heal()
        lifecycle.execute_unlink_relationships(graph, [web])
        lifecycle.execute_establish_relationships(graph, [web], modified_relationship_ids={"web": ["database"]})
        lifecycle.execute_establish_relationships(graph, [web], modified_relationship_ids={"web": []})
        graph.add_task(web.set_state("starting"))
        graph.execute()
        processor.rollback()
        assert ctx.get_node_instance(web.id).state == "configured", web.state


    @workflow
    def secret(ctx, **_):
        ctx.get_secret("key")


    @workflow
    def scaled_by_name(ctx, **_):
        assert [each.id for each in ctx.list_nodes()] == ["database", "web"]
        assert ctx.bootstrap_context.cloudify_agent.user is None
        ctx.update_execution_status("nearly there")
        scale_entity(ctx, "web", 2, scale_compute=False)
        scale_entity(ctx, "web", "-1", False)
        try:
            scale_entity(ctx, "nothing", 1)
        except NonRecoverableError as error:
            assert "no node 'nothing'" in str(error)
        # What there was before is nobody's to install.
        assert sorted(each.state for each in instances(ctx, "web")) == ["started", "uninitialized"]


    @workflow
    def renewed(ctx, **_):
        graph = ctx.graph_mode()
        web, = instances(ctx, "web")
        assert lifecycle.plugins_install_task(web, []) is None
        lifecycle.reinstall_node_instance_subgraph(web, graph)
        graph.execute()
        auto_heal_reinstall_node_subgraph(ctx, web.id, "it looked pale")
        ctx.refresh_node_instances()
        # Each reinstallation starts it, links it, and unlinks it before the next one.
        web, = instances(ctx, "web")
        assert web.state == "started"


    @workflow
    def properties(ctx, **_):
        web, = instances(ctx, "web")
        web.runtime_properties["found"] = {"size": 3}
        ctx.update_node_instance(web)
        ctx.refresh_node_instances()
        assert web.runtime_properties == {"found": {"size": 3}}, web.runtime_properties
        assert ctx.get_execution().status == "started", ctx.get_execution()


    @workflow
    def renewal(ctx, text, removed_instance_ids, added_instance_ids, **told):
        assert ctx.workflow_id == "renewal" and parameters.text == text
        graph = ctx.graph_mode()
        lifecycle.uninstall_node_instances(graph, [ctx.get_node_instance(each) for each in removed_instance_ids])
        lifecycle.install_node_instances(graph, [ctx.get_node_instance(each) for each in added_instance_ids])
        web, = instances(ctx, "web")
        assert told["extended_instance_ids"] == told["reduced_instance_ids"] == [web.id], told
        assert told["skip_install"] is True and told["install_first"] is False, told
        graph.add_task(web.execute_operation("test.note", kwargs={"text": text}))
        graph.execute()


    @workflow
    def tasks(ctx, **_):
        web, = instances(ctx, "web")
        context = {"node_id": web.id, "operation": {"name": "test.note"}}
        ctx.execute_task("any", local=False, kwargs={"text": "by task"}, node_context=context).get()
        assert ctx.execute_task("os.path.basename", kwargs={"p": "/a/b"}).get() == "b"
    """
)

BLUEPRINT = """
tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml]
plugins:
  noted: {executor: central_deployment_agent, source: noted.py}
node_types:
  test.Noted:
    derived_from: cloudify.nodes.Root
    interfaces:
      test:
        note: {implementation: noted.noted.note, inputs: {text: {default: ""}}}
        fail: {implementation: noted.noted.fail}
        shaky: {implementation: noted.noted.shaky, inputs: {failures: {default: 0}}}
        wait_for: {implementation: noted.noted.wait_for, inputs: {path: {default: ""}}}
      cloudify.interfaces.lifecycle:
        start: noted.noted.note
        heal: noted.noted.note
relationships:
  test.linked:
    derived_from: cloudify.relationships.depends_on
    source_interfaces:
      cloudify.interfaces.relationship_lifecycle:
        establish: noted.noted.link
        unlink: noted.noted.link
node_templates:
  database: {type: test.Noted}
  web:
    type: test.Noted
    relationships: [{type: test.linked, target: database}]
workflows:
  plain: {mapping: noted.noted.plain, parameters: {text: {}}}
  graph: noted.noted.graph
  handlers: noted.noted.handlers
  judged: noted.noted.judged
  dissatisfied: noted.noted.dissatisfied
  group: {mapping: noted.noted.group, parameters: {path: {}, own: {default: false}}}
  hopeless: noted.noted.hopeless
  here: noted.noted.here
  caught: noted.noted.caught
  failing: noted.noted.failing
  life: noted.noted.life
  waiting: {mapping: noted.noted.waiting, parameters: {path: {}}}
  stored: {mapping: noted.noted.stored, parameters: {path: {}}}
  crashing: {mapping: noted.noted.crashing, parameters: {path: {}}}
  scaling: noted.noted.scaling
  scaling_in_two_calls: {mapping: noted.noted.scaling_in_two_calls, parameters: {path: {}}}
  planned: noted.noted.planned
  secret: noted.noted.secret
  scaled_by_name: noted.noted.scaled_by_name
  renewed: noted.noted.renewed
  properties: noted.noted.properties
  tasks: noted.noted.tasks
  script: {mapping: notes.py, parameters: {text: {default: scripted}}}
"""

#: The blueprint to update to: another node in the database's place, which a script of this blueprint's own starts.
CHANGED = (
    BLUEPRINT.replace(
        "  database: {type: test.Noted}",
        """
  cache:
    type: test.Noted
    interfaces: {cloudify.interfaces.lifecycle: {start: begin.py}}""",
    ).replace("target: database", "target: cache")
    + """
  renewal: {mapping: noted.noted.renewal, parameters: {text: {default: renewed}, removed_instance_ids: {type: list}}}
"""
)

BEGIN = """
from cloudify import ctx

ctx.instance.runtime_properties["notes"] = ["begun"]
"""

SCRIPT = """
from cloudify.workflows import ctx, parameters

graph = ctx.graph_mode()
for instance in ctx.node_instances:
    graph.add_task(instance.execute_operation("test.note", kwargs={"text": parameters.text}))
graph.execute()
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def shared(home: Path) -> Iterator[Dispatcher]:
    folder = home / "blueprint"
    folder.mkdir()
    for name, text in (("noted.py", PLUGIN), ("blueprint.yaml", BLUEPRINT), ("notes.py", SCRIPT)):
        (folder / name).write_text(text)
    engine = EngineSettings(retry_interval_seconds=0.1, poll_seconds=0.2, cancel_repeat_seconds=20.0)
    with local_dispatcher(home / "state", engine=engine) as made:
        made.create_blueprint("noted", folder / "blueprint.yaml")
        (folder / "changed.yaml").write_text(CHANGED)
        (folder / "begin.py").write_text(BEGIN)
        made.create_blueprint("changed", folder / "changed.yaml")
        yield made


@pytest.fixture
def dispatcher(shared: Dispatcher, request: pytest.FixtureRequest) -> Dispatcher:
    shared.create_deployment(request.node.name, "noted")
    return shared


def view_of(dispatcher: Dispatcher, deployment: str) -> DeploymentView:
    with dispatcher.database.read() as connection:
        return deployments.view(connection, ("default_tenant", deployment), config={})


def notes(dispatcher: Dispatcher, deployment: str) -> dict[str, object]:
    found = view_of(dispatcher, deployment).instances.values()
    return {each.node: each.runtime_properties.get("notes") for each in found}


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


def test_calls_outside_of_graph_mode_run_at_once(dispatcher: Dispatcher, name: str) -> None:
    done = dispatcher.run("plain", name, {"text": "hello"}, timeout_seconds=SECONDS)
    assert done.status is Status.TERMINATED
    assert notes(dispatcher, name) == {"database": ["hello"], "web": ["hello"]}
    assert "here we go" in {each.message for each in dispatcher.events(execution_id=done.id)}


def test_a_graph_of_tasks_subgraphs_and_local_tasks(dispatcher: Dispatcher, name: str) -> None:
    done = dispatcher.run("graph", name, timeout_seconds=SECONDS)
    assert notes(dispatcher, name) == {"database": ["first"], "web": ["first", "second"]}
    # Results overtake logs.
    wait_until(
        lambda: "local task ran" in {each.message for each in dispatcher.events(execution_id=done.id)},
        SECONDS,
        "the function's log",
    )


def test_handlers_of_tasks(dispatcher: Dispatcher, name: str) -> None:
    dispatcher.run("handlers", name, timeout_seconds=SECONDS)
    assert notes(dispatcher, name)["web"] == ["after"]


def test_a_function_may_go_on_after_a_failed_graph(dispatcher: Dispatcher, name: str) -> None:
    assert dispatcher.run("caught", name, timeout_seconds=SECONDS).status is Status.TERMINATED
    assert notes(dispatcher, name)["web"] == ["instead"]


def test_a_failed_function_fails_the_execution_with_its_reason(dispatcher: Dispatcher, name: str) -> None:
    with pytest.raises(ExecutionFailed, match="no such luck"):
        dispatcher.run("failing", name, timeout_seconds=SECONDS)


def test_lifecycle_functions_take_the_steps_of_the_built_in_workflows(dispatcher: Dispatcher, name: str) -> None:
    dispatcher.run("life", name, timeout_seconds=SECONDS)
    found = view_of(dispatcher, name).instances.values()
    assert {each.state for each in found} == {"deleted"}


def test_a_script_as_a_workflow(dispatcher: Dispatcher, name: str) -> None:
    dispatcher.run("script", name, timeout_seconds=SECONDS)
    assert notes(dispatcher, name) == {"database": ["scripted"], "web": ["scripted"]}


def test_a_parameter_that_is_missing_is_told_before_anything_runs(dispatcher: Dispatcher, name: str) -> None:
    with pytest.raises(ParameterError, match="'text' is missing"):
        dispatcher.start("plain", name)


def test_what_a_function_will_run_cannot_be_foretold(dispatcher: Dispatcher, name: str) -> None:
    view = view_of(dispatcher, name)
    with pytest.raises(PlanError, match="decided while it runs"):
        planned_operations(get_workflow("graph", {}, view), view)


def test_what_takes_a_manager_says_so_where_there_is_none(dispatcher: Dispatcher, name: str) -> None:
    with pytest.raises(ExecutionFailed, match="runs without a manager"):
        dispatcher.run("secret", name, timeout_seconds=SECONDS)


def test_a_function_scales_by_name(dispatcher: Dispatcher, name: str) -> None:
    ended = dispatcher.run("scaled_by_name", name, timeout_seconds=SECONDS)
    web = [each for each in view_of(dispatcher, name).instances.values() if each.node == "web"]
    assert len(web) == 2
    assert sorted(tuple(each.runtime_properties.get("notes", ())) for each in web)[1] == ("start", "establish")
    told = [each.message for each in dispatcher.events(execution_id=ended.id) if each.event_type == "workflow_status"]
    assert told == ["Status: nearly there"]


def test_a_function_renews_instances(dispatcher: Dispatcher, name: str) -> None:
    dispatcher.run("install", name, timeout_seconds=SECONDS)
    dispatcher.run("renewed", name, timeout_seconds=SECONDS)
    assert notes(dispatcher, name)["web"] == ["start", "establish", *(["unlink", "start", "establish"] * 2)]


def test_a_function_changes_the_number_of_instances(dispatcher: Dispatcher, name: str) -> None:
    assert dispatcher.run("scaling", name, timeout_seconds=SECONDS).status is Status.TERMINATED
    found = view_of(dispatcher, name)
    web = [each for each in found.instances.values() if each.node == "web"]
    assert [(each.state, dict(each.system_properties)) for each in web] == [("started", {})] * 2
    scalable = found.nodes["web"]["capabilities"]["scalable"]["properties"]
    assert (scalable["current_instances"], scalable["planned_instances"]) == (2, 2)


def test_a_function_that_is_called_again_finds_the_modification_that_it_started(
    dispatcher: Dispatcher, name: str, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    started = dispatcher.start("scaling_in_two_calls", name, {"path": str(gate)})
    assert dispatcher.wait(started.id, timeout_seconds=SECONDS).status is Status.FAILED
    gate.touch()
    dispatcher.resume(started.id)
    assert dispatcher.wait(started.id, timeout_seconds=SECONDS).status is Status.TERMINATED
    found = [each for each in view_of(dispatcher, name).instances.values() if each.node == "web"]
    assert sorted((each.state, len(each.system_properties)) for each in found) == [("started", 0), ("uninitialized", 0)]
    assert sorted(len(each.runtime_properties.get("notes", [])) for each in found) == [0, 2]


def test_lifecycle_steps_of_single_instances_stand_between_tasks_of_the_function(
    dispatcher: Dispatcher, name: str
) -> None:
    dispatcher.run("planned", name, timeout_seconds=SECONDS)
    found = notes(dispatcher, name)
    assert found["database"] == ["start"]
    assert found["web"] == ["between", "start", "establish", "heal", "unlink", "establish"]


def test_a_function_stores_properties_of_an_instance_and_reads_its_execution(dispatcher: Dispatcher, name: str) -> None:
    dispatcher.run("properties", name, timeout_seconds=SECONDS)
    found = {each.node: each.runtime_properties for each in view_of(dispatcher, name).instances.values()}
    assert found["web"] == {"found": {"size": 3}}


def test_tasks_by_the_name_of_an_operation_or_of_a_function(dispatcher: Dispatcher, name: str) -> None:
    dispatcher.run("tasks", name, timeout_seconds=SECONDS)
    assert notes(dispatcher, name)["web"] == ["by task"]


@pytest.mark.parametrize("install_first", [False, True])
def test_an_update_runs_what_comes_with_the_files_of_the_new_blueprint(
    dispatcher: Dispatcher, name: str, install_first: bool
) -> None:
    dispatcher.run("install", name, timeout_seconds=SECONDS)
    asked = {"install_first": install_first, "skip_heal": True, "skip_drift_check": True}
    begun = dispatcher.update(name, blueprint_id="changed", parameters=asked)
    ended = dispatcher.wait(begun.id, timeout_seconds=SECONDS)
    assert ended.status is Status.TERMINATED, ended.error
    assert notes(dispatcher, name)["cache"] == ["begun"]


def test_a_workflow_of_the_new_blueprint_takes_the_steps_of_an_update(dispatcher: Dispatcher, name: str) -> None:
    dispatcher.run("install", name, timeout_seconds=SECONDS)
    asked = {"workflow_id": "renewal", "skip_install": True, "text": "mine"}
    begun = dispatcher.update(name, blueprint_id="changed", parameters=asked)
    ended = dispatcher.wait(begun.id, timeout_seconds=SECONDS)
    assert (ended.workflow, ended.status, ended.error) == ("update", Status.TERMINATED, None)
    found = view_of(dispatcher, name)
    assert sorted((each.node, each.state) for each in found.instances.values()) == [
        ("cache", "started"),
        ("web", "started"),
    ]
    assert not any(each.system_properties.get("unfinished_update") for each in found.instances.values())
    [web] = [each for each in found.instances.values() if each.node == "web"]
    assert [each.target_node for each in web.relationships] == ["cache"]
    assert notes(dispatcher, name) == {"cache": ["begun"], "web": ["start", "establish", "unlink", "establish", "mine"]}


def calls(dispatcher: Dispatcher, deployment: str) -> object:
    found = view_of(dispatcher, deployment).instances.values()
    return next(each.runtime_properties.get("calls") for each in found if each.node == "web")


def test_a_handler_judges_each_failure_until_no_retry_is_left(dispatcher: Dispatcher, name: str) -> None:
    dispatcher.run("judged", name, timeout_seconds=SECONDS)
    assert calls(dispatcher, name) == 1


def test_a_handler_may_have_done_again_what_succeeded(dispatcher: Dispatcher, name: str) -> None:
    ended = dispatcher.run("dissatisfied", name, timeout_seconds=SECONDS)
    assert notes(dispatcher, name)["web"] == ["first", "first", "second", "third", "third"]
    assert ended.finished_operations <= ended.total_operations


def test_a_subgraph_that_failed_is_done_again_once_nothing_of_it_runs(
    dispatcher: Dispatcher, name: str, tmp_path: Path
) -> None:
    dispatcher.run("group", name, {"path": str(tmp_path / "gate")}, timeout_seconds=SECONDS)
    assert calls(dispatcher, name) == 2
    assert notes(dispatcher, name)["web"] == ["inside", "after"]


def test_a_handler_may_put_another_subgraph_in_the_place_of_one_that_failed(
    dispatcher: Dispatcher, name: str, tmp_path: Path
) -> None:
    dispatcher.run("group", name, {"path": str(tmp_path / "gate"), "own": True}, timeout_seconds=SECONDS)
    assert notes(dispatcher, name)["web"] == ["instead", "after"]


def test_a_subgraph_is_done_again_as_often_as_the_settings_allow(dispatcher: Dispatcher, name: str) -> None:
    with pytest.raises(ExecutionFailed, match="no such luck"):
        dispatcher.run("hopeless", name, timeout_seconds=SECONDS)


def test_functions_of_the_workflows_own_are_tried_again_and_fail_for_good(dispatcher: Dispatcher, name: str) -> None:
    with pytest.raises(ExecutionFailed, match="in vain"):
        dispatcher.run("here", name, timeout_seconds=SECONDS)


def test_a_cancel_reaches_the_function(dispatcher: Dispatcher, name: str, tmp_path: Path) -> None:
    path = tmp_path / "gate"
    started = dispatcher.start("waiting", name, {"path": str(path)})
    wait_until((tmp_path / "gate.begun").exists, SECONDS, "the operation to begin")
    dispatcher.cancel(started.id, Cancel.NORMAL)
    assert dispatcher.wait(started.id, timeout_seconds=SECONDS).status is Status.CANCELLED
    assert (tmp_path / "gate.cancelled").exists()


def test_a_resumed_function_finds_the_graph_that_it_stored(dispatcher: Dispatcher, name: str, tmp_path: Path) -> None:
    path = tmp_path / "gate"
    with pytest.raises(ExecutionFailed, match="after its graph"):
        dispatcher.run("stored", name, {"path": str(path)}, timeout_seconds=SECONDS)
    path.touch()
    execution = dispatcher.events(execution_id=None, limit=1_000_000)[-1].execution_id
    assert execution is not None
    dispatcher.resume(execution)
    assert dispatcher.wait(execution, timeout_seconds=SECONDS).status is Status.TERMINATED
    assert notes(dispatcher, name)["web"] == ["one", "two"]


def test_the_dispatcher_may_change_while_a_function_waits(dispatcher: Dispatcher, name: str, tmp_path: Path) -> None:
    """The engine forgets everything, as after a failed turn, and takes the execution up from the store again."""
    path = tmp_path / "gate"
    started = dispatcher.start("waiting", name, {"path": str(path)})
    wait_until((tmp_path / "gate.begun").exists, SECONDS, "the operation to begin")
    engine = dispatcher.engine
    before = dispatcher.execution(started.id).owner_epoch
    engine.stop()
    engine._stopping.clear()
    engine.start()
    wait_until(lambda: dispatcher.execution(started.id).owner_epoch != before, SECONDS, "the execution's adoption")
    path.touch()
    assert dispatcher.wait(started.id, timeout_seconds=SECONDS).status is Status.TERMINATED


def test_the_agent_may_be_restarted_while_a_function_waits(tmp_path: Path) -> None:
    """The function lives on in its runner, and its next question finds the new agent."""
    home, path = tmp_path / "state", tmp_path / "gate"
    for name, text in (("noted.py", PLUGIN), ("blueprint.yaml", BLUEPRINT), ("notes.py", SCRIPT)):
        (tmp_path / name).write_text(text)
    settings = CommandSettings(Home(home), ConnectionSettings(), EngineSettings(poll_seconds=0.2), {})
    with opened(settings) as local:
        dispatcher, agent = local.dispatcher, local.agent
        assert agent is not None
        dispatcher.create_blueprint("noted", tmp_path / "blueprint.yaml")
        dispatcher.create_deployment("noted", "noted")
        started = dispatcher.start("waiting", "noted", {"path": str(path)})
        wait_until((tmp_path / "gate.begun").exists, SECONDS, "the operation to begin")
        agent.stop()
        # One broker in this process, and one transport of it.
        again = Agent(agent.settings, agent._transport)
        again.start()
        path.touch()
        try:
            assert dispatcher.wait(started.id, timeout_seconds=SECONDS).status is Status.TERMINATED
        finally:
            again.stop(end_runners=True)


def test_a_function_that_crashes_fails_its_execution_once(dispatcher: Dispatcher, name: str, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    with pytest.raises(ExecutionFailed, match="workflow on agent 'central' failed"):
        dispatcher.run("crashing", name, {"path": str(calls)}, timeout_seconds=SECONDS)
    assert calls.read_text() == "called"
