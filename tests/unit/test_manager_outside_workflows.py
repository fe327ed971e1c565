"""What workflows that run elsewhere keep with the manager: graphs, operations and their effects, nodes, files."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from outrider.dispatcher.store import agents, deployments, executions, graphs, instances, ownership, tasks
from outrider.dispatcher.store.agents import Agent
from outrider.dispatcher.store.attempts import CHUNK
from outrider.dispatcher.store.deployments import Deployment
from outrider.dispatcher.store.executions import Execution, Status
from outrider.dispatcher.store.graphs import GraphState, StoredGraph
from outrider.dispatcher.store.schema import (
    AGENTS,
    BLUEPRINTS,
    DEPLOYMENTS,
    EVENTS,
    EXECUTIONS,
    NODE_INSTANCES,
    NODES,
)
from outrider.dispatcher.workflows.graph import Task, TaskKind
from outrider.dispatcher.workflows.view import InstanceView
from outrider.manager_stub import Manager, model_writing
from tests.support.managers import Running, manager_here
from tests.support.wagons import tar_bytes
from tests.support.waiting import wait_until

NODE = {"id": "web", "name": "web", "type": "a.Type"}
FILES = "/resources/deployments/default_tenant/app"
PNG = b"\x89PNG\r\n\x1a\n and so on"
MAIN = b"tosca_definitions_version: cloudify_dsl_1_3\nimports: [cloudify/types/types.yaml]\n"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Manager]]:
    with manager_here(tmp_path_factory.mktemp("manager"), largest_blueprint_bytes=4_000_000) as found:
        yield found


@pytest.fixture
def served(shared: tuple[Running, Manager]) -> Iterator[tuple[Running, Manager]]:
    """A manager with two deployments, and an execution of each that runs elsewhere."""
    _running, manager = shared
    with manager.database.begin() as connection:
        for table in (EVENTS, EXECUTIONS, NODE_INSTANCES, NODES, DEPLOYMENTS, BLUEPRINTS, AGENTS):
            connection.execute(table.delete())
        for deployment_id in ("app", "other"):
            made = [InstanceView(id=f"{deployment_id}_1", node="web")]
            record = Deployment(id=deployment_id, blueprint_id="none")
            deployments.insert(connection, record, nodes=[NODE], node_instances=made, now=1)
            run = Execution(id=f"run-{deployment_id}", workflow="install", deployment_id=deployment_id)
            executions.insert(connection, replace(run, status=Status.STARTED, outside=True), now=1)
    yield shared
    folder = manager.settings.work
    wait_until(lambda: not folder.exists() or not list(folder.iterdir()), 20, f"{folder} to be empty")


@pytest.fixture
def running(served: tuple[Running, Manager]) -> Running:
    return served[0]


@pytest.fixture
def token(served: tuple[Running, Manager]) -> dict[str, str]:
    return {"Execution-Token": served[1].execution_token("run-app")}


def operation(name: str, kind: str = "RemoteWorkflowTask", **kwargs: Any) -> dict[str, Any]:
    return {"id": name, "name": f"plugin.{name}", "type": kind, "parameters": {"task_kwargs": kwargs}}


def store(running: Running, *operations: dict[str, Any], name: str = "install") -> str:
    body = {"name": name, "execution_id": "run-app", "operations": list(operations)}
    answer = running.call("POST", "/tasks_graphs/tasks_graphs", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def report(running: Running, name: str, state: str, **told: Any) -> None:
    answer = running.call("PATCH", f"/operations/{name}", json={"state": state, **told})
    assert (answer.status_code, answer.json()) == (200, {}), answer.text


def items(running: Running, path: str) -> list[dict[str, Any]]:
    return list(running.call("GET", path).json()["items"])


def test_a_graph_is_kept_with_its_operations_and_found_again(running: Running) -> None:
    graph = store(running, operation("first"), {**operation("second"), "dependencies": ["first"]})
    assert [each["id"] for each in items(running, "/tasks_graphs?execution_id=run-app&name=install")] == [graph]
    assert items(running, "/tasks_graphs?execution_id=run-app&name=other") == []
    third = {"name": "third", "graph_id": graph, "type": "NOPLocalWorkflowTask", "dependencies": [], "parameters": {}}
    assert running.call("PUT", "/operations/third", json=third).status_code == 201
    found = items(running, f"/operations?graph_id={graph}")
    assert [(each["id"], each["dependencies"]) for each in found] == [
        ("first", []), ("second", ["first"]), ("third", []),
    ]  # fmt: skip
    assert [each["id"] for each in items(running, "/operations?execution_id=run-app&skip_internal=True")] == [
        "first", "second",
    ]  # fmt: skip
    assert running.call("DELETE", "/operations/third").status_code == 204
    assert running.call("GET", "/operations/third").status_code == 404
    assert running.call("PUT", "/operations/first", json=third).status_code == 409
    assert running.call("PUT", "/operations/x", json={**third, "graph_id": "none"}).status_code == 404


def test_reports_are_kept_told_in_events_and_counted_once(running: Running) -> None:
    context = {"operation": {"name": "cloudify.interfaces.lifecycle.create"}, "node_id": "app_1"}
    store(running, operation("first", kwargs={"__cloudify_context": context}))
    for state in ("sending", "sent", "started", "response-sent", "succeeded", "succeeded"):
        report(running, "first", state, agent_name="agent_x")
    stored = running.call("GET", "/operations/first").json()
    assert (stored["state"], stored["agent_name"], stored["node_instance_id"]) == ("succeeded", "agent_x", "app_1")
    told = items(running, "/events?execution_id=run-app")
    assert [each["event_type"] for each in told] == ["sending_task", "task_started", "task_succeeded"]
    assert {each["operation"] for each in told} == {"cloudify.interfaces.lifecycle.create"}
    execution = running.call("GET", "/executions/run-app").json()
    assert (execution["finished_operations"], execution["total_operations"]) == (1, 1)


def progress(running: Running) -> tuple[int, int]:
    execution = running.call("GET", "/executions/run-app").json()
    return execution["finished_operations"], execution["total_operations"]


def test_an_operation_is_counted_once_however_often_it_ends(running: Running) -> None:
    store(running, operation("first"), {**operation("before"), "state": "succeeded"})
    assert progress(running) == (1, 2)
    for state, finished in (
        ("started", 1), ("rescheduled", 2), ("started", 1), ("failed", 2), ("succeeded", 2), ("pending", 1),
    ):  # fmt: skip
        report(running, "first", state)
        assert progress(running) == (finished, 2), state
    assert running.call("DELETE", "/operations/before").status_code == 204
    assert progress(running) == (0, 1)


def test_a_failure_is_told_with_its_causes(running: Running) -> None:
    store(running, operation("first"))
    causes = [{"message": "no space", "type": "OSError", "traceback": "…"}]
    report(running, "first", "failed", exception="no space", exception_causes=causes)
    (told,) = items(running, "/events?execution_id=run-app")
    assert (told["event_type"], told["error_causes"]) == ("task_failed", causes)


def test_an_instance_takes_the_state_that_its_operation_set(running: Running) -> None:
    store(running, operation("state", "SetNodeInstanceStateTask", node_instance_id="app_1", state="started"))
    report(running, "state", "succeeded")
    assert running.call("GET", "/node-instances/app_1").json()["state"] == "started"
    store(running, operation("gone", "SetNodeInstanceStateTask", node_instance_id="none", state="started"), name="b")
    report(running, "gone", "succeeded")


def test_an_event_about_a_node_is_written_when_its_operation_succeeds(running: Running) -> None:
    store(running, operation("told", "SendNodeEventTask", node_instance_id="app_1", event="half way"))
    report(running, "told", "succeeded")
    (told,) = items(running, "/events?execution_id=run-app")
    assert (told["event_type"], told["message"]) == ("workflow_node_event", "half way")


def test_parameters_of_any_shape_are_kept(running: Running) -> None:
    odd = {"id": "odd", "name": "odd", "type": "RemoteWorkflowTask", "parameters": {"task_kwargs": [1], "a": None}}
    store(running, odd)
    report(running, "odd", "started")
    assert running.call("GET", "/operations/odd").json()["parameters"] == odd["parameters"]


def test_a_token_writes_its_own_executions_graphs_only(running: Running, token: dict[str, str]) -> None:
    body = {"name": "install", "execution_id": "run-other"}
    assert running.call("POST", "/tasks_graphs", user=None, headers=token, json=body).status_code == 403
    body["execution_id"] = "run-app"
    assert running.call("POST", "/tasks_graphs", user=None, headers=token, json=body).status_code == 201
    running.call(
        "POST",
        "/tasks_graphs",
        json={"name": "a", "execution_id": "run-other", "operations": [operation("theirs")]},
    )
    change = {"state": "started"}
    assert running.call("PATCH", "/operations/theirs", user=None, headers=token, json=change).status_code == 403
    assert running.call("DELETE", "/operations/theirs", user=None, headers=token).status_code == 403


def test_the_dispatchers_graphs_are_not_written(served: tuple[Running, Manager]) -> None:
    running, manager = served
    graph = StoredGraph(id="g", execution_id="run-app", name="install", position=0, state=GraphState.RUNNING)
    task = Task(id="create web", kind=TaskKind.OPERATION, operation="create", instance="app_1")
    row = tasks.new_row(task, (), graph_id="g", execution_id="run-app", position=0)
    with manager.database.begin() as connection:
        graphs.insert(connection, graph)
        tasks.insert(connection, [row])
    body = {"name": "x", "graph_id": "g", "type": "RemoteWorkflowTask", "dependencies": [], "parameters": {}}
    assert running.call("PUT", "/operations/mine", json=body).status_code == 409
    assert running.call("DELETE", "/operations/g.0").status_code == 409
    taken: dict[str, Any] = {"name": "x", "execution_id": "run-app", "operations": [operation("g.0")]}
    assert running.call("POST", "/tasks_graphs", json=taken).status_code == 409
    many = {**taken, "operations": [operation(f"new{number}") for number in range(CHUNK)] + taken["operations"]}
    refused = running.call("POST", "/tasks_graphs", json=many)
    assert (refused.status_code, "'g.0'" in refused.text) == (409, True), refused.text
    assert running.call("POST", "/tasks_graphs", json={**taken, "graph_id": "g", "operations": []}).status_code == 409
    report(running, "g.0.1", "started")
    assert running.call("GET", "/operations/g.0").json()["state"] == "pending", "its agent tells, nobody else"


def test_nodes_and_instances_are_made_related_and_deleted(running: Running, token: dict[str, str]) -> None:
    relation = {"type": "cloudify.relationships.depends_on", "target_id": "web"}
    nodes = [{"id": "db", "type": "b.Type", "relationships": [relation]}]
    made = running.call("POST", "/nodes", user=None, headers=token, json={"deployment_id": "app", "nodes": nodes})
    assert (made.status_code, made.text) == (201, "null")
    assert running.call("POST", "/nodes", json={"deployment_id": "app", "nodes": nodes}).status_code == 409
    related = {"type": relation["type"], "target_name": "web", "target_id": "app_1"}
    body = {"deployment_id": "app", "node_instances": [{"id": "db_1", "node_id": "db", "relationships": [related]}]}
    created = running.call("POST", "/node-instances", json=body)
    assert created.status_code == 201, created.text
    assert [each["relationships"] for each in created.json()["items"]] == [[related]]
    assert running.call("DELETE", "/nodes/app/db").json()["error_code"] == "dependent_exists_error"
    changed = running.call("PATCH", "/node-instances/db_1", json={"version": 1, "relationships": []})
    assert (changed.status_code, changed.json()["relationships"]) == (200, [])
    assert running.call("PATCH", "/nodes/app/db", json={"properties": {"port": 1}}).status_code == 204
    assert items(running, "/nodes?deployment_id=app&id=db")[0]["properties"] == {"port": 1}
    assert running.call("DELETE", "/node-instances/db_1").status_code == 204
    assert running.call("DELETE", "/nodes/app/db").status_code == 204
    assert [each["id"] for each in items(running, "/nodes?deployment_id=app")] == ["web"]


ODD_NODES = {
    "no type": {"id": "a"},
    "an id with a slash": {"id": "a/b", "type": "T"},
    "properties that are a list": {"id": "a", "type": "T", "properties": []},
    "a relationship to nobody": {"id": "a", "type": "T", "relationships": [{}]},
    "scaling that is a number": {"id": "a", "type": "T", "capabilities": {"scalable": 3}},
    "scalable properties that are a text": {"id": "a", "type": "T", "capabilities": {"scalable": {"properties": ""}}},
}


@pytest.mark.parametrize("node", ODD_NODES.values(), ids=ODD_NODES)
def test_a_node_that_planners_could_not_read_is_refused(running: Running, node: dict[str, Any]) -> None:
    answer = running.call("POST", "/nodes", json={"deployment_id": "app", "nodes": [node]})
    assert answer.status_code == 400, answer.text
    assert running.call("GET", "/nodes").status_code == 200


def test_instances_are_numbered_with_one_look_at_those_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    class Present:
        @property
        def node(self) -> str:
            nonlocal looks
            looks += 1
            return "db"

    stored: list[InstanceView] = []
    present = {f"db_{number}": Present() for number in range(20)}
    monkeypatch.setattr(deployments, "nodes_of", lambda *_: {"db": {}, "web": {}})
    monkeypatch.setattr(instances, "of_deployment", lambda *_: present)
    monkeypatch.setattr(instances, "insert", lambda _connection, _key, made: stored.extend(made))
    sent = [{"id": f"{node}_new{number}", "node_id": node} for number in range(20) for node in ("db", "web")]
    no_connection: Any = None
    model_writing.add_instances(no_connection, ("tenant", "app"), sent)
    assert [each.index for each in stored if each.node == "db"] == list(range(21, 41))
    assert [each.index for each in stored if each.node == "web"] == list(range(1, 21))
    assert looks == 20, "the store is locked meanwhile"


def test_a_token_changes_its_own_deployment_only(running: Running, token: dict[str, str]) -> None:
    calls: list[tuple[str, str, Any]] = [
        ("POST", "/nodes", {"deployment_id": "other", "nodes": []}),
        ("POST", "/node-instances", {"deployment_id": "other", "node_instances": []}),
        ("PATCH", "/nodes/other/web", {"properties": {}}),
        ("DELETE", "/nodes/other/web", None),
        ("DELETE", "/node-instances/other_1", None),
        ("PUT", f"{FILES[:-3]}other/a", None),
        ("DELETE", f"{FILES[:-3]}other/a", None),
    ]
    for method, path, body in calls:
        answer = running.call(method, path, user=None, headers=token, json=body)
        assert answer.status_code == 403, f"{method} {path}: {answer.text}"


def test_files_are_kept_with_a_deployment(running: Running, token: dict[str, str]) -> None:
    def call(method: str, path: str, **arguments: Any) -> Any:
        return running.call(method, f"{FILES}/{path}", user=None, headers=token, **arguments)

    assert call("PUT", "a/b.txt", data=b"one").status_code == 200
    assert call("GET", "a/b.txt").content == b"one"
    form = {"file": ("b.txt", b"two"), "mtime": (None, "2026-11-23T01:02:03")}
    assert running.call("PUT", f"{FILES}/a/b.txt", files=form).status_code == 200
    answer = call("GET", "a/b.txt")
    assert (answer.content, answer.headers["Content-Length"]) == (b"two", "3")
    part = running.call("GET", f"{FILES}/a/b.txt", headers={"Range": "bytes=1-"})
    assert (part.status_code, part.content) == (206, b"wo")
    assert call("GET", "").json() == {"a/b.txt": "2026-11-23T01:02:03"}
    assert call("PUT", "?extract=yes", data=tar_bytes({"c.txt": b"three"})).status_code == 200
    packed = call("GET", "?archive=True")
    with tarfile.open(fileobj=io.BytesIO(packed.content)) as archive:
        assert sorted(archive.getnames()) == [".cloudify-index.json", "a/b.txt", "c.txt"]
    assert call("DELETE", "c.txt").status_code == 204
    assert call("DELETE", "c.txt").status_code == 404
    assert running.call("DELETE", "/deployments/app?force=True").status_code == 204
    assert running.call("GET", f"{FILES}/").status_code == 404


HOSTILE = {
    "a traversal": tar_bytes({"../evil": b"x"}),
    "a bomb": tar_bytes({"big": b"\0" * 40_000_000}),
    "no archive": b"nothing",
    "nothing": b"",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_archive_of_files_is_refused(running: Running, body: bytes) -> None:
    answer = running.call("PUT", f"{FILES}/?extract=yes", data=body)
    assert 400 <= answer.status_code < 500, answer.text
    assert running.call("GET", f"{FILES}/").json() == {}


@pytest.mark.parametrize("path", ["%2e%2e/x", "a//b", "a/%2e%2e/%2e%2e/b", "a%00b", "a/"])
def test_a_path_that_leads_elsewhere_is_refused(running: Running, path: str) -> None:
    answer = running.call("PUT", f"{FILES}/{path}", data=b"x")
    assert 400 <= answer.status_code < 500, answer.text
    assert running.call("GET", f"{FILES}/").json() == {}


def test_a_file_larger_than_allowed_is_refused(running: Running) -> None:
    assert running.call("PUT", f"{FILES}/big", data=b"x" * 4_000_001).status_code == 413


def test_a_blueprint_is_validated_without_being_kept(running: Running) -> None:
    good = tar_bytes({"app/blueprint.yaml": MAIN + b"node_templates: {a: {type: cloudify.nodes.Root}}\n"})
    bad = tar_bytes({"app/blueprint.yaml": MAIN + b"node_templates: {a: {type: no.such}}\n"})
    answer = running.call("PUT", "/blueprints/maybe/validate", data=good)
    assert (answer.status_code, answer.text) == (201, "null")
    refused = running.call("PUT", "/blueprints/maybe/validate", data=bad)
    assert (refused.status_code, refused.json()["error_code"]) == (400, "invalid_blueprint_error")
    assert "no.such" in refused.json()["message"]
    assert items(running, "/blueprints") == []


def test_a_blueprint_has_an_icon_until_it_is_taken_away(running: Running) -> None:
    archive = tar_bytes({"app/blueprint.yaml": MAIN + b"node_templates: {a: {type: cloudify.nodes.Root}}\n"})
    assert running.call("PUT", "/blueprints/bp", data=archive).status_code == 201
    assert running.call("PATCH", "/blueprints/bp/icon", data=b"<svg/>").status_code == 400
    assert running.call("PATCH", "/blueprints/bp/icon", data=PNG).status_code == 200
    assert running.call("GET", "/blueprints/bp/icon").content == PNG
    assert running.call("PATCH", "/blueprints/bp/icon", data=b"").status_code == 200
    assert running.call("GET", "/blueprints/bp/icon").status_code == 404


def test_a_limit_is_found_by_its_name(running: Running) -> None:
    found = running.call("GET", "/config/blueprint_folder_max_files").json()
    assert found == running.call("GET", "/config/rest.blueprint_folder_max_files").json()
    assert found["value"] == 10_000
    assert running.call("GET", "/config/agent.none").status_code == 404


def test_workflows_and_labels_of_a_deployment_are_listed(running: Running) -> None:
    assert running.call("PATCH", "/deployments/app", json={"labels": [{"env": "prod"}]}).status_code == 200
    (label,) = items(running, "/deployments/app/labels")
    assert (label["key"], label["value"]) == ("env", "prod")
    names = [each["name"] for each in running.call("GET", "/deployments/app/workflows").json()["workflows"]]
    assert {"install", "uninstall"} <= set(names)


def test_an_agent_that_is_gone_is_forgotten_and_one_that_lives_is_not(served: tuple[Running, Manager]) -> None:
    running, manager = served
    with manager.database.begin() as connection:
        now = manager.database.now(connection)
        agents.save(connection, Agent(id="here", last_seen_at=now, created_at=now))
        agents.save(connection, Agent(id="gone", last_seen_at=now - 3600, created_at=now))
    assert running.call("DELETE", "/agents/gone").status_code == 204
    refused = running.call("DELETE", "/agents/here")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "conflict_error")
    assert [each["id"] for each in items(running, "/agents")] == ["here"]


def test_ended_executions_are_deleted_but_for_the_newest(served: tuple[Running, Manager]) -> None:
    running, manager = served
    with manager.database.begin() as connection:
        for number in range(4):
            record = Execution(
                id=f"old-{number}", workflow="heal", deployment_id="app", status=Status.FAILED, force=True
            )
            executions.insert(connection, record, now=1_700_000_000 + number)
    assert running.call("DELETE", "/executions").status_code == 400
    answer = running.call("DELETE", "/executions", json={"keep_last": 1})
    assert answer.json()["items"] == [{"count": 3}]
    left = {each["id"] for each in items(running, "/executions")}
    assert left == {"old-3", "run-app", "run-other"}
    answer = running.call("DELETE", "/executions", json={"to_datetime": "2024-01-01T00:00:00"})
    assert answer.json()["items"] == [{"count": 1}]


HERE = {"deployment_id": "app", "workflow_id": "theirs", "parameters": {"a": 1}}


@pytest.fixture
def free(running: Running) -> Running:
    """The deployment `app` is held by nobody."""
    assert running.call("PATCH", "/executions/run-app", json={"status": "terminated"}).status_code == 200
    return running


def made(running: Running, **fields: Any) -> str:
    answer = running.call("POST", "/executions", json={**HERE, "force_status": "started", **fields})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def reported(running: Running, execution_id: str, status: str, **fields: Any) -> tuple[int, str]:
    answer = running.call("PATCH", f"/executions/{execution_id}", json={"status": status, **fields})
    return answer.status_code, str(answer.json().get("error_code") or answer.json()["status"])


def test_a_workflow_that_runs_elsewhere_makes_its_execution_and_tells_its_end(
    free: Running, served: tuple[Running, Manager]
) -> None:
    execution_id = made(free, force_status="pending")
    with served[1].database.begin() as connection:
        assert ownership.claim(connection, "a dispatcher", now=0, limit=10) == [], "no dispatcher runs it"
    assert free.call("GET", f"/executions/{execution_id}").json()["started_at"] is None
    assert reported(free, execution_id, "started") == (200, "started")
    begun = free.call("GET", f"/executions/{execution_id}").json()["started_at"]
    assert reported(free, execution_id, "started") == (200, "started"), "an answer may be lost"
    assert free.call("GET", f"/executions/{execution_id}").json()["started_at"] == begun is not None
    assert reported(free, execution_id, "queued") == (400, "invalid_exception_status_update")
    assert reported(free, execution_id, "failed", error="no space") == (200, "failed")
    found = free.call("GET", f"/executions/{execution_id}").json()
    assert (found["error"], found["parameters"], found["ended_at"] is None) == ("no space", {"a": 1}, False)
    assert reported(free, execution_id, "started") == (400, "invalid_exception_status_update")
    resumed = free.call("POST", f"/executions/{execution_id}", json={"action": "resume"})
    assert (resumed.status_code, "elsewhere" in resumed.text) == (409, True)


def test_a_cancel_is_a_wish_to_a_workflow_elsewhere_and_a_kill_gives_it_up(
    free: Running, served: tuple[Running, Manager]
) -> None:
    execution_id = made(free)
    token = {"Execution-Token": served[1].execution_token(execution_id)}
    path = f"/executions/{execution_id}"
    assert free.call("POST", path, json={"action": "cancel"}).json()["status"] == "cancelling"
    assert reported(free, execution_id, "started") == (400, "invalid_exception_status_update")
    assert free.call("PATCH", path, user=None, headers=token, json={"status": "cancelled"}).status_code == 200
    assert free.call("GET", path, user=None, headers=token).status_code == 401, "its token ended with it"
    killed = made(free)
    token = {"Execution-Token": served[1].execution_token(killed)}
    answer = free.call("POST", f"/executions/{killed}", json={"action": "kill"}).json()
    assert (answer["status"], "may still be running" in answer["error"]) == ("cancelled", True)
    assert free.call("GET", f"/executions/{killed}", user=None, headers=token).status_code == 401


def test_an_execution_of_elsewhere_holds_its_deployment_unless_it_has_ended(running: Running) -> None:
    held = running.call("POST", "/executions", json={**HERE, "force_status": "started"})
    assert (held.status_code, held.json()["error_code"]) == (400, "existing_running_execution_error")
    when = {"created_at": "2024-01-01 00:00", "ended_at": "2024-01-01 01:00", "created_by": "somebody"}
    body = {**HERE, "force_status": "terminated", "id": "from-a-backup", **when}
    restored = running.call("POST", "/executions", json=body)
    assert restored.status_code == 201, restored.text
    found = restored.json()
    assert (found["id"], found["created_at"][:10], found["created_by"]) == ("from-a-backup", "2024-01-01", "somebody")
    assert running.call("POST", "/executions", json=body).status_code == 409


@pytest.mark.parametrize(
    "fields",
    [
        {"force_status": "queued"},
        {"force_status": "odd"},
        {"queue": True},
        {"scheduled_time": "+1h"},
        {"id": "x/y"},
        {"id": "x" * 65},
        {"error": "not yet"},
        {"force_status": None, "id": "mine"},
    ],
    ids=str,
)
def test_an_execution_of_elsewhere_that_makes_no_sense_is_refused(free: Running, fields: dict[str, Any]) -> None:
    answer = free.call("POST", "/executions", json={**HERE, "force_status": "started", **fields})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "bad_parameters_error"), answer.text


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", "+9000000000w", "+9" + "0" * 30 + "w"]
)
def test_a_time_that_no_list_could_show_is_refused(free: Running, moment: str) -> None:
    for fields in ({"force_status": "terminated", "created_at": moment}, {"scheduled_time": moment}):
        answer = free.call("POST", "/executions", json={**HERE, "workflow_id": "install", **fields})
        assert (answer.status_code, answer.json()["error_code"]) == (400, "bad_parameters_error"), answer.text
    assert free.call("GET", "/executions").status_code == 200


def test_an_error_is_kept_as_every_store_takes_it(free: Running) -> None:
    execution_id = made(free)
    assert reported(free, execution_id, "failed", error="a\0b") == (200, "failed")
    assert free.call("GET", f"/executions/{execution_id}").json()["error"] == "a\ufffdb"
    assert free.call("GET", "/executions/" + made(free, force_status="failed", error="\0")).json()["error"] == "\ufffd"


def test_the_dispatchers_executions_take_no_status_from_others(free: Running, served: tuple[Running, Manager]) -> None:
    with served[1].database.begin() as connection:
        executions.insert(connection, Execution(id="own", workflow="install", deployment_id="app"), now=1)
    assert reported(free, "own", "terminated") == (409, "conflict_error")
