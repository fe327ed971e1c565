"""What goes beyond v3.1: events as they happen, why, plan, fleet; refused logins, entity tags, two managers at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from outrider.dispatcher.store import agents, deployments, events, executions
from outrider.dispatcher.store.agents import Agent
from outrider.dispatcher.store.deployments import Deployment
from outrider.dispatcher.store.events import Event
from outrider.dispatcher.store.executions import Execution, Status
from outrider.dispatcher.store.schema import EXECUTIONS, OUTSIDE_GRAPHS
from outrider.manager_stub import Manager
from tests.support.managers import PASSWORD, Running, manager_here
from tests.support.wagons import WagonMaker
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Manager]]:
    with manager_here(tmp_path_factory.mktemp("manager")) as found:
        _running, manager = found
        with manager.database.begin() as connection:
            now = manager.database.now(connection)
            deployments.insert(connection, Deployment(id="app", blueprint_id="b"), nodes=[], node_instances=[], now=1)
            run = Execution(id="run", workflow="install", deployment_id="app", status=Status.STARTED)
            executions.insert(connection, run, now=now)
            agents.save(connection, Agent(id="central", last_seen_at=now, created_at=now))
        yield found


def tell(manager: Manager, message: str) -> None:
    with manager.database.begin() as connection:
        now = manager.database.now(connection)
        record = Event(message=message, happened_at=now, execution_id="run", level="info")
        events.append(connection, [record], now=now)


def test_an_execution_is_followed_live_until_it_ends(served: tuple[Running, Manager]) -> None:
    running, manager = served
    tell(manager, "before")
    answer = running.call("GET", "/outrider/v1/executions/run/events", stream=True)
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    seen: list[tuple[str, str]] = []
    kind = ""
    for line in answer.iter_lines(decode_unicode=True):
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        if name != "data":
            continue
        told = json.loads(value)
        seen.append((kind, told.get("message") or told.get("status") or ""))
        if seen[-1] == ("record", "before"):
            tell(manager, "while it is followed")
        if seen[-1] == ("record", "while it is followed"):
            with manager.database.begin() as connection:
                ended = EXECUTIONS.update().where(EXECUTIONS.c.id == "run").values(status=Status.FAILED.value)
                connection.execute(ended)
        if kind == "end":
            break
    answer.close()
    assert [text for kind, text in seen if kind == "record"] == ["before", "while it is followed"]
    assert seen[-1][0] == "end"


def test_why_plan_and_fleet_say_how_things_stand(served: tuple[Running, Manager]) -> None:
    running, manager = served
    with manager.database.begin() as connection:
        waiting = Execution(id="waits", workflow="heal", deployment_id="app", force=True)
        executions.insert(connection, waiting, now=manager.database.now(connection))
    (reason,) = running.call("GET", "/outrider/v1/executions/waits/why").json()
    assert (reason["subject"], reason["waits_for"]) == ("execution", "a dispatcher: none is running")
    assert running.call("GET", "/outrider/v1/executions/waits/plan").json() == []
    fall = running.call("GET", "/outrider/v1/executions/waits/waterfall").json()
    assert (fall["ended"], fall["running"]) == ([], [])
    (agent,) = running.call("GET", "/outrider/v1/fleet").json()
    assert agent["id"] == "central"
    assert agent["seen_seconds_ago"] < 600
    assert running.call("GET", "/outrider/v1/executions/none/why").status_code == 404


def test_an_address_with_many_refused_logins_has_to_wait(tmp_path: Path) -> None:
    with manager_here(tmp_path, refusals_per_minute=3) as (running, _manager):
        wrong = [running.call("GET", "/status", user=f"nobody-{number}", password="x") for number in range(3)]
        assert [each.status_code for each in wrong] == [401, 401, 401]
        refused = running.call("GET", "/status", user="nobody", password="x")
        assert (refused.status_code, "wait a minute" in refused.json()["message"]) == (429, True)
        guessed = running.call("GET", "/status", user=None, headers={"Authentication-Token": "ctok-1-guess"})
        assert guessed.status_code == 429


def test_downloads_have_a_hash_and_an_entity_tag(served: tuple[Running, Manager], tmp_path: Path) -> None:
    running, _manager = served
    wagon = WagonMaker(name="tagged").write(tmp_path).read_bytes()
    plugin = running.call("POST", "/plugins", data=wagon).json()["id"]
    path = f"/plugins/{plugin}/archive"
    answer = running.call("GET", path)
    tag = answer.headers["ETag"]
    assert tag == f'"{answer.headers["X-Checksum-Sha256"]}"'
    known = running.call("GET", path, headers={"If-None-Match": tag})
    assert (known.status_code, known.content) == (304, b"")
    changed = running.call("GET", path, headers={"If-None-Match": '"another"'})
    assert (changed.status_code, changed.content) == (200, wagon)
    other = running.call("GET", path, headers={"Range": "bytes=0-9", "If-Range": '"another"'})
    assert (other.status_code, other.content) == (200, wagon), "a part of something else is not what was asked for"


def test_managers_on_one_database_know_the_same_users_and_tokens(tmp_path: Path) -> None:
    with manager_here(tmp_path) as (first, _), manager_here(tmp_path) as (second, _other):
        made = first.call("POST", "/tokens", json={}).json()
        token = {"Authentication-Token": made["value"]}
        assert second.call("GET", "/status", user=None, headers=token).status_code == 200
        assert second.call("PUT", "/secrets/door", json={"value": "1234"}).status_code == 200
        assert first.call("GET", "/secrets/door").json()["value"] == "1234"
        assert first.call("DELETE", f"/tokens/{made['id']}").status_code == 204
        assert first.call("GET", "/status", user=None, headers=token).status_code == 401
        wait_until(
            lambda: second.call("GET", "/status", user=None, headers=token).status_code == 401,
            10,
            "the other manager to refuse the deleted token",
        )
        assert second.call("POST", "/users/admin", json={"password": "another for tests"}).status_code == 200
        wait_until(
            lambda: first.call("GET", "/status", password=PASSWORD).status_code == 401, 10, "the old password's end"
        )


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_a_number_that_json_does_not_have_is_refused(served: tuple[Running, Manager], number: str) -> None:
    running, manager = served
    operation = f'{{"id": "one", "name": "o", "type": "LocalTask", "parameters": {{"limit": {number}}}}}'
    graph = f'{{"name": "g", "execution_id": "run", "operations": [{operation}]}}'
    answer = running.call("POST", "/tasks_graphs", data=graph, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert "infinite" in answer.json()["message"]
    with manager.database.read() as connection:
        assert not connection.execute(sa.select(OUTSIDE_GRAPHS)).all()
