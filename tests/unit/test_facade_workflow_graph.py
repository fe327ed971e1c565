"""Graphs as a plugin's workflow function builds them: what the dispatcher gets of tasks, sequences and subgraphs."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

from outrider.plugins.sdk.errors import NonRecoverableError
from tests.support.facade import facade_on_path


@pytest.fixture(autouse=True)
def facade() -> Iterator[None]:
    with facade_on_path():
        yield


class Channel:
    """A dispatcher that runs everything at once; tasks named in `fails` fail until they are answered."""

    def __init__(self, *fails: str) -> None:
        self.asked: list[dict[str, Any]] = []
        self.fails = set(fails)
        self.local: list[str] = []
        self.cancelled = False

    def request(self, _kind: str, payload: dict[str, Any], _timeout_seconds: float) -> dict[str, Any]:
        self.asked.append(payload)
        request, graph = payload["request"], payload.get("graph")
        if request == "submit":
            self.local = [f"{graph}/{each['id']}" for each in payload["tasks"] if each["kind"] == "local"]
            return {"stored": False}
        if request == "wait":
            failed = sorted(f"{graph}/{each}" for each in self.fails)
            return {"open": len(self.local), "failed": failed, "local": self.local, "cancelled": self.cancelled}
        if request == "answer":
            name = payload["task"].partition("/")[2]
            self.fails = {each for each in self.fails if each != name and f".{name.partition('.')[2]}." not in each}
            if payload["task"] in self.local:
                self.local.remove(payload["task"])
            return {"retried": True}
        if request == "results":
            failed_ids = {f"{payload['tasks'][0].partition('/')[0]}/{each}" for each in self.fails}
            return {"results": {each: _result(failed=each in failed_ids) for each in payload["tasks"]}}
        return {"cancel": None, "wait_after_fail_seconds": 60.0, "dry_run": False, "nodes": [], "instances": []} | {
            "scaling_groups": {}
        }

    def submitted(self) -> dict[str, Any]:
        return next(each for each in self.asked if each["request"] == "submit")

    def answers(self) -> list[tuple[str, str]]:
        return [(each["task"], each["verdict"]) for each in self.asked if each["request"] == "answer"]


def _result(*, failed: bool) -> dict[str, Any]:
    if failed:
        return {"state": "failed", "value": None, "error": {"message": "broken"}}
    return {"state": "succeeded", "value": 7, "error": None}


class SdkContext:
    """As much of the SDK's context as the workflow's context reads."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.execution_id, self.tenant, self.resumed = "e", "t", False
        self.blueprint = self.deployment = self.workflow = type("Named", (), {"id": "d", "name": "w"})()


def context(channel: Channel) -> Any:
    return import_module("outrider_facade.workflow.context").WorkflowContext(SdkContext(channel))


def operation(name: str) -> Any:
    fields = {"kind": "operation", "instance": "i", "operation": f"test.{name}"}
    return import_module("outrider_facade.workflow.graph").WorkflowTask(name, fields)


def test_a_sequence_with_a_fork() -> None:
    channel = Channel()
    graph = context(channel).graph_mode()
    tasks = {name: operation(name) for name in "abcd"}
    forkjoin = import_module("cloudify.workflows.tasks_graph").forkjoin
    graph.sequence().add(tasks["a"], forkjoin(tasks["b"], tasks["c"]), tasks["d"])
    assert [each.id for each in graph.linearize()] == ["1.a", "2.b", "3.c", "4.d"]
    graph.execute()
    sent = channel.submitted()
    assert sent["graph"] == "graph-1"
    assert sent["dependencies"] == {"2.b": ["1.a"], "3.c": ["1.a"], "4.d": ["2.b", "3.c"]}
    assert graph.tasks == []
    assert tasks["a"].get_state() == "succeeded"
    assert tasks["a"].async_result.get() == 7


def test_a_subgraph_is_a_task_that_begins_before_its_own_and_ends_after_them() -> None:
    channel = Channel()
    graph = context(channel).graph_mode()
    before, inner, after = operation("before"), operation("inner"), operation("after")
    subgraph = graph.subgraph("sub")
    subgraph.add_task(inner)
    graph.sequence().add(before, subgraph, after)
    graph.execute()
    sent = channel.submitted()
    assert sent["dependencies"] == {
        "1.sub.end": ["1.sub.begin", "2.inner"],
        "2.inner": ["1.sub.begin"],
        "1.sub.begin": ["3.before"],
        "4.after": ["1.sub.end"],
    }
    assert sent["subgraphs"] == {"1.sub": None}
    assert next(each for each in sent["tasks"] if each["id"] == "2.inner")["subgraph"] == "1.sub"


def test_what_waits_for_a_task_waits_for_its_handler() -> None:
    channel = Channel()
    graph = context(channel).graph_mode()
    first, second, seen = operation("first"), operation("second"), []
    first.on_success = seen.append
    graph.sequence().add(first, second)
    graph.execute()
    assert channel.submitted()["dependencies"] == {
        "1.first.on_success": ["1.first"],
        "2.second": ["1.first.on_success"],
    }
    assert seen == [first]
    assert channel.answers() == [("graph-1/1.first.on_success", "done")]


def test_a_failed_task_fails_the_graph_with_its_reason() -> None:
    graph = context(Channel("1.bad")).graph_mode()
    graph.add_task(operation("bad"))
    with pytest.raises(RuntimeError, match=r"Task failed 'graph-1/1\.bad' -> broken"):
        graph.execute()


def test_a_handler_may_try_a_task_again_and_ignore_it_then() -> None:
    results = import_module("cloudify.workflows.tasks").HandlerResult
    answers = iter([results.retry(), results.ignore()])

    class Stubborn(Channel):
        def request(self, kind: str, payload: dict[str, Any], timeout_seconds: float) -> dict[str, Any]:
            reply = super().request(kind, payload, timeout_seconds)
            if payload.get("verdict") == "retry":
                self.fails = {"1.bad"}
            return reply

    channel = Stubborn("1.bad")
    graph = context(channel).graph_mode()
    task = operation("bad")
    task.on_failure = lambda _task: next(answers)
    graph.add_task(task)
    graph.execute()
    assert channel.answers() == [("graph-1/1.bad", "retry"), ("graph-1/1.bad", "ignore")]
    assert task.current_retries == 1


def test_the_handler_of_a_subgraph_is_asked_about_its_tasks() -> None:
    results = import_module("cloudify.workflows.tasks").HandlerResult
    channel = Channel("2.bad")
    graph = context(channel).graph_mode()
    subgraph = graph.subgraph("sub")
    task = subgraph.add_task(operation("bad"))

    def forget_failures(_subgraph: Any) -> Any:
        channel.fails = set()
        return results.ignore()

    subgraph.on_failure = forget_failures
    graph.execute()
    assert channel.answers() == [("graph-1/1.sub", "ignore")]
    assert subgraph.failed_task is task


def test_a_local_task_is_called_and_its_failure_told() -> None:
    channel = Channel()
    ctx = context(channel)
    graph = ctx.graph_mode()
    called = []
    graph.add_task(ctx.local_task(called.append, kwargs={}, name="wrong"))
    graph.execute()
    assert channel.answers() == [("graph-1/1.wrong", "fail")]


def test_a_cancel_is_raised_and_told_to_callbacks() -> None:
    api = import_module("cloudify.workflows.api")
    channel, called = Channel(), []
    channel.cancelled = True
    api.cancel_callbacks.add(lambda: called.append("callback"))
    graph = context(channel).graph_mode()
    graph.add_task(operation("any"))
    with pytest.raises(api.ExecutionCancelled):
        graph.execute()
    assert called == ["callback"]
    assert api.has_cancel_request()


def test_a_named_graph_is_stored_under_its_name() -> None:
    channel = Channel()
    ctx = context(channel)
    make_or_get_graph = import_module("cloudify.workflows.tasks_graph").make_or_get_graph

    @make_or_get_graph
    def build(ctx: Any) -> Any:
        graph = ctx.graph_mode()
        graph.add_task(operation("any"))
        return graph

    build(ctx, name="mine").execute()
    assert channel.submitted()["graph"] == "mine"


def test_dependencies_are_between_tasks_of_the_graph() -> None:
    graph = context(Channel()).graph_mode()
    task = graph.add_task(operation("in"))
    with pytest.raises(RuntimeError, match="not in the graph"):
        graph.add_dependency(task, operation("out"))


def test_graph_mode_comes_first() -> None:
    ctx = context(Channel())
    ctx.dispatch(operation("any")).get()
    with pytest.raises(RuntimeError, match="after tasks had run"):
        ctx.graph_mode()


def test_a_subgraph_may_be_left_to_the_dispatchers_planners() -> None:
    channel = Channel()
    ctx = context(channel)
    graph = ctx.graph_mode()
    lifecycle = import_module("cloudify.plugins.lifecycle")
    instance = SimpleNamespace(id="vm_1")
    installed = lifecycle.install_node_instance_subgraph(instance, graph)
    after = graph.add_task(operation("after"))
    graph.add_dependency(after, installed)
    submitted = graph.submission()
    assert submitted["planned"] == {
        installed.id: {"planner": "install", "parameters": {"instances": ["vm_1"]}},
    }
    assert submitted["dependencies"][after.id] == [f"{installed.id}.end"]


def test_a_modification_is_asked_for_by_name_and_ended_by_its_id() -> None:
    class Modifying(Channel):
        def request(self, kind: str, payload: dict[str, Any], timeout_seconds: float) -> dict[str, Any]:
            if payload["request"] == "view":
                instances = [{"id": name, "node": name.partition("_")[0]} for name in ("web_2", "db_1")]
                return {"nodes": [{"id": "web"}, {"id": "db"}], "scaling_groups": {}, "instances": instances}
            self.asked.append(payload)
            sides = {"added": ["web_2"], "added_related": ["db_1"], "removed": [], "removed_related": []}
            return {"id": "e:modification-1", **sides}

    channel = Modifying()
    change = context(channel).deployment.start_modification({"web": {"instances": 2}})
    assert [(each.id, each.modification) for each in change.added.node_instances] == [
        ("web_2", "added"),
        ("db_1", None),
    ]
    assert [each.id for each in change.added.nodes] == ["web", "db"]
    change.rollback()
    assert channel.asked == [
        {"request": "start_modification", "name": "modification-1", "nodes": {"web": {"instances": 2}}},
        {"request": "rollback_modification", "id": "e:modification-1"},
    ]


def test_a_task_may_be_a_function_by_its_name() -> None:
    ctx = context(Channel())
    assert ctx.execute_task("os.path.basename", kwargs={"p": "/a/b"}).get() == "b"
    with pytest.raises(NonRecoverableError, match="names the node instance"):
        ctx.execute_task("any.thing", local=False)


def test_what_is_not_provided_is_named() -> None:
    ctx = context(Channel())
    with pytest.raises(NonRecoverableError, match=r"ctx\.store_operation of workflows is not provided"):
        ctx.store_operation("x")


def test_what_is_the_managers_is_asked_of_the_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    client = SimpleNamespace(
        secrets=SimpleNamespace(get=lambda name: SimpleNamespace(value=f"value of {name}")),
        executions=SimpleNamespace(
            get=lambda id_: SimpleNamespace(id=id_),
            start=lambda *arguments, **options: started.append((arguments, options)),
        ),
    )
    monkeypatch.setattr(import_module("cloudify.manager"), "get_rest_client", lambda: client)
    ctx = context(Channel())
    assert ctx.get_secret("door") == "value of door"
    assert ctx.get_execution("another").id == "another"
    ctx.start_execution("dep", "install", {"a": 1}, force=True)
    assert started == [(("dep", "install", {"a": 1}), {"force": True})]


def nested(ctx: Any) -> Any:
    """A subgraph of two tasks, the second in a subgraph of its own."""
    graph = ctx.graph_mode()
    outer = graph.subgraph("outer")
    first = outer.add_task(operation("first"))
    inner = outer.subgraph("inner")
    inner.add_task(operation("second"))
    outer.add_dependency(inner, first)
    return graph, outer, inner


def test_a_subgraph_is_copied_with_all_in_it_under_ids_that_follow_from_its_own() -> None:
    graph, outer, _inner = nested(context(Channel()))
    outer.on_failure = lambda _failed: None
    copy = outer.again()
    sent = graph.submission(copy)
    assert sent["dependencies"] == {
        "1.outer~1.end": ["1.outer~1.begin", "1.outer~1:2.first", "1.outer~1:3.inner.end"],
        "1.outer~1:2.first": ["1.outer~1.begin"],
        "1.outer~1:3.inner.begin": ["1.outer~1:2.first", "1.outer~1.begin"],
        "1.outer~1:3.inner.end": ["1.outer~1:3.inner.begin", "1.outer~1:4.second"],
        "1.outer~1:4.second": ["1.outer~1:3.inner.begin"],
    }
    assert sent["subgraphs"] == {"1.outer~1": None, "1.outer~1:3.inner": "1.outer~1"}
    assert copy.on_failure is outer.on_failure
    assert copy.again().id == "1.outer~2"


def test_a_function_that_is_called_again_finds_the_copies_of_its_subgraphs() -> None:
    handlers = import_module("outrider_facade.workflow.handlers")
    channel = Channel()
    ctx = context(channel)
    graph, outer, inner = nested(ctx)
    inner.on_failure = lambda _failed: None
    found = handlers.Handlers(ctx.talk, "graph-1", graph.tasks[:])
    task = found.find("graph-1/1.outer~2:3.inner~1:4.second")
    assert (task.name, task.containing_subgraph.id) == ("second", "1.outer~2:3.inner~1")
    assert task.containing_subgraph.on_failure is inner.on_failure
    assert task.containing_subgraph.containing_subgraph.origin == outer.id
    assert found.find("graph-1/9.other~1:2.first") is None


def test_one_handler_is_asked_about_a_subgraph_of_which_several_tasks_failed() -> None:
    results = import_module("cloudify.workflows.tasks").HandlerResult
    channel, asked = Channel("2.one", "3.two"), []
    graph = context(channel).graph_mode()
    subgraph = graph.subgraph("sub")
    for name in ("one", "two"):
        subgraph.add_task(operation(name))

    def ignore(failed: Any) -> Any:
        asked.append(failed.failed_task.name)
        channel.fails = set()
        return results.ignore()

    subgraph.on_failure = ignore
    graph.execute()
    assert asked == ["one"]


def test_a_task_with_a_handler_is_not_tried_again_before_that_is_asked() -> None:
    channel = Channel()
    graph = context(channel).graph_mode()
    judged, other = graph.add_task(operation("judged")), graph.add_task(operation("other"))
    judged.on_failure = lambda _task: None
    graph.execute()
    sent = {each["id"]: each.get("handled", False) for each in channel.submitted()["tasks"]}
    assert sent == {judged.id: True, other.id: False}


def test_what_runs_graphs_elsewhere_is_named() -> None:
    ctx = context(Channel())
    with pytest.raises(AttributeError, match=r"ctx\.internal\.local_tasks_processor is not provided"):
        _ = ctx.internal.local_tasks_processor
    with pytest.raises(AttributeError, match="have no _finished_tasks: the dispatcher runs them"):
        _ = ctx.graph_mode()._finished_tasks
