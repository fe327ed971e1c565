"""List calls: pages, order, filters, `_include`; and the shapes and codes that clients insist on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from outrider.dispatcher.store import deployments, events, executions
from outrider.dispatcher.store.deployments import Deployment
from outrider.dispatcher.store.events import Event
from outrider.dispatcher.store.executions import Execution
from outrider.dispatcher.workflows.view import InstanceView
from outrider.manager_stub import Manager
from tests.support.managers import Running, manager_here

#: What `GET /events` must hold in every record: clients move these with hard indexing.
ALWAYS = {
    "deployment_id", "execution_id", "workflow_id", "operation", "node_name", "node_instance_id", "message",
    "error_causes", "type", "reported_timestamp",
}  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Manager]]:
    with manager_here(tmp_path_factory.mktemp("manager")) as found:
        manager = found[1]
        with manager.database.begin() as connection:
            for number in range(5):
                deployments.insert(
                    connection,
                    Deployment(
                        id=f"app-{number}",
                        blueprint_id="odd" if number % 2 else "even",
                        details={"labels": {"color": ["red" if number < 2 else "blue"]}, "created_by": "ann"},
                    ),
                    nodes=[{"id": "web", "name": "web", "type": "a.Type", "operations": {}}],
                    node_instances=[InstanceView(id=f"web_{number}", node="web", state="started")],
                    now=100.0 + number,
                )
            record = Execution(id="run", workflow="install", deployment_id="app-0", created_by="ann")
            executions.insert(connection, record, now=200)
            # The later a record happened, the earlier it is stored: pages go by the order of storing.
            records = [
                Event(message=f"line {n}", happened_at=1000.0 - n, execution_id="run", level="info", logger="x")
                for n in range(250)
            ]
            events.append(connection, records, now=300)
            started = Event(message="begin", happened_at=1, execution_id="run", event_type="workflow_started")
            events.append(connection, [started], now=301)
        yield found


def items(served: tuple[Running, Manager], path: str) -> list[dict[str, Any]]:
    answer = served[0].call("GET", path)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def ids(served: tuple[Running, Manager], path: str) -> list[str]:
    return [each["id"] for each in items(served, path)]


def test_a_page_says_how_many_there_are_and_which_limit_is_in_force(served: tuple[Running, Manager]) -> None:
    answer = served[0].call("GET", "/deployments?_size=2&_offset=2&_sort=created_at").json()
    assert [each["id"] for each in answer["items"]] == ["app-2", "app-3"]
    assert answer["metadata"] == {"pagination": {"total": 5, "size": 2, "offset": 2}, "filtered": None}


def test_order_goes_both_ways(served: tuple[Running, Manager]) -> None:
    assert ids(served, "/deployments?_sort=-created_at")[0] == "app-4"
    assert ids(served, "/deployments?_sort=blueprint_id&_sort=-id") == ["app-4", "app-2", "app-0", "app-3", "app-1"]


def test_repeated_filters_mean_any_of_them(served: tuple[Running, Manager]) -> None:
    assert ids(served, "/deployments?id=app-1&id=app-3") == ["app-1", "app-3"]
    assert ids(served, "/deployments?blueprint_id=odd&created_by=ann") == ["app-1", "app-3"]
    assert ids(served, "/deployments?created_by=bob") == []


def test_search_is_a_part_of_the_name_and_takes_wildcards_literally(served: tuple[Running, Manager]) -> None:
    assert len(ids(served, "/deployments?_search=app")) == 5
    assert ids(served, "/deployments?_search=%25") == []


def test_include_answers_only_those_fields(served: tuple[Running, Manager]) -> None:
    assert items(served, "/deployments?_include=id%2Cblueprint_id&_size=1") == [{"id": "app-0", "blueprint_id": "even"}]
    answer = served[0].call("GET", "/deployments?_include=nonsense")
    assert (answer.status_code, answer.json()["error_code"]) == (400, "no_such_include_field_error")


@pytest.mark.parametrize(
    "query",
    ["nonsense=1", "_sort=nonsense", "_size=0", "_size=x", "_size=99999999999999999999", "_offset=-1", "id=%00"],
)
def test_what_cannot_be_asked_for_is_refused(served: tuple[Running, Manager], query: str) -> None:
    answer = served[0].call("GET", f"/deployments?{query}")
    assert (answer.status_code, answer.json()["error_code"]) == (400, "bad_parameters_error"), answer.text


def test_unknown_underscored_parameters_are_ignored(served: tuple[Running, Manager]) -> None:
    assert len(ids(served, "/deployments?_nobody_knows=1&_all_tenants=False")) == 5


def test_events_are_flat_whole_and_in_the_order_of_their_storing(served: tuple[Running, Manager]) -> None:
    query = "/events?execution_id=run&type=cloudify_log&type=cloudify_event&_sort=reported_timestamp&_size=100"
    seen: list[str] = []
    while page := items(served, f"{query}&_offset={len(seen)}"):
        assert all(set(each) >= ALWAYS for each in page)
        seen += [each["message"] for each in page]
    assert seen == [*(f"line {n}" for n in range(250)), "begin"]


def test_events_and_logs_are_told_apart(served: tuple[Running, Manager]) -> None:
    (event,) = items(served, "/events?execution_id=run&type=cloudify_event")
    assert event["event_type"] == "workflow_started"
    assert "level" not in event
    log = items(served, "/events?execution_id=run&type=cloudify_log&_size=1")[0]
    assert log["level"] == "info"
    assert "event_type" not in log


def test_event_ranges_are_by_time(served: tuple[Running, Manager]) -> None:
    found = items(served, "/events?execution_id=run&_range=@timestamp,,1970-01-01T00:00:30")
    assert [each["message"] for each in found] == ["begin"]


def test_a_deployment_tells_its_state_and_its_workflows(served: tuple[Running, Manager]) -> None:
    record = served[0].call("GET", "/deployments/app-1").json()
    assert (record["installation_status"], record["deployment_status"]) == ("active", "good")
    assert {"install", "uninstall"} <= {each["name"] for each in record["workflows"]}
    running = served[0].call("GET", "/deployments/app-0").json()
    assert running["latest_execution_status"] == "in_progress"
    assert running["created_at"] == "1970-01-01T00:01:40.000Z"


def test_summaries_count_by_one_field_and_by_a_second_below_it(served: tuple[Running, Manager]) -> None:
    assert items(served, "/summary/deployments?_target_field=blueprint_id") == [
        {"blueprint_id": "even", "deployments": 3},
        {"blueprint_id": "odd", "deployments": 2},
    ]
    assert items(served, "/summary/node_instances?_target_field=state&_sub_field=node_id&deployment_id=app-1") == [
        {"state": "started", "node_instances": 1, "by node_id": [{"node_id": "web", "node_instances": 1}]}
    ]
    refused = served[0].call("GET", "/summary/deployments?_target_field=plan")
    assert (refused.status_code, refused.json()["error_code"]) == (400, "bad_parameters_error")


def test_searches_follow_rules_about_labels(served: tuple[Running, Manager]) -> None:
    rules = [{"key": "color", "values": ["red"], "operator": "any_of", "type": "label"}]
    answer = served[0].call("POST", "/searches/deployments?_sort=id", json={"filter_rules": rules})
    assert [each["id"] for each in answer.json()["items"]] == ["app-0", "app-1"]
    rules[0]["operator"] = "nonsense"
    answer = served[0].call("POST", "/searches/deployments", json={"filter_rules": rules})
    assert answer.json()["error_code"] == "invalid_filter_rule"


def test_an_instance_refuses_only_a_version_older_than_the_stored_one(served: tuple[Running, Manager]) -> None:
    path = "/node-instances/web_3"

    def patch(version: int, query: str = "") -> Any:
        return served[0].call("PATCH", path + query, json={"version": version, "runtime_properties": {"v": version}})

    assert patch(1).json()["version"] == 2
    assert patch(3).json()["version"] == 3
    answer = patch(2)
    assert (answer.status_code, answer.json()["error_code"]) == (409, "conflict_error")
    assert patch(1, "?force=True").json()["version"] == 4


def test_one_missing_node_is_an_error_and_many_are_an_empty_list(served: tuple[Running, Manager]) -> None:
    answer = served[0].call("GET", "/nodes?deployment_id=app-1&id=missing")
    assert answer.status_code == 404
    assert "not found" in answer.json()["message"]
    assert items(served, "/nodes?deployment_id=missing") == []


def test_what_does_not_exist_is_answered_with_the_envelope(served: tuple[Running, Manager]) -> None:
    for method, path in (("GET", "/snapshots"), ("GET", "/sites"), ("POST", "/nonsense"), ("GET", "/executions/none")):
        answer = served[0].call(method, path)
        assert answer.status_code == 404, (method, path, answer.text)
        assert answer.json()["error_code"] == "not_found_error"
        assert "not found" in answer.json()["message"]


def test_functions_are_evaluated_with_secrets(served: tuple[Running, Manager]) -> None:
    served[0].call("PUT", "/secrets/door", json={"value": "1234"})
    body = {
        "deployment_id": "app-0",
        "context": {},
        "payload": {"a": {"concat": ["x", {"get_secret": "door"}]}},
    }
    answer = served[0].call("POST", "/evaluate/functions", json=body)
    assert answer.json()["payload"]["a"] == "x1234", answer.text


def test_texts_stand_for_booleans_when_an_execution_starts(served: tuple[Running, Manager]) -> None:
    body = {"deployment_id": "app-0", "workflow_id": "install", "force": "false", "queue": "true", "dry_run": "false"}
    answer = served[0].call("POST", "/executions", json={**body, "force": "true"})
    assert answer.status_code == 201, answer.text
    refused = served[0].call("POST", "/executions", json={**body, "queue": "false", "workflow_id": "uninstall"})
    assert refused.json()["error_code"] == "existing_running_execution_error"
    unknown = served[0].call("POST", "/executions", json={**body, "workflow_id": "nonsense"})
    assert unknown.json()["error_code"] == "nonexistent_workflow_error"
    queued = served[0].call("POST", "/executions", json={**body, "workflow_id": "uninstall"})
    assert queued.json()["status"] == "queued"
