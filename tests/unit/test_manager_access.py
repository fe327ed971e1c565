"""Every route without credentials, with another tenant's, and with each role; lockout; tokens; scopes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from outrider.dispatcher.store import deployments, executions, passwords, tenants, tokens, users
from outrider.dispatcher.store.deployments import Deployment
from outrider.dispatcher.store.executions import Execution, Status
from outrider.dispatcher.store.schema import EXECUTIONS
from outrider.dispatcher.store.users import User
from outrider.dispatcher.workflows.view import InstanceView
from outrider.manager_stub import Manager
from outrider.manager_stub.access import TENANT_ROLES, Right
from outrider.manager_stub.app import API
from outrider.manager_stub.calls import Requires
from outrider.manager_stub.routes import ROUTERS, beyond, file_server, health, system
from tests.support.managers import Running, manager_here
from tests.support.waiting import wait_until

#: Routes that answer everybody.
OPEN = {"/api/version", f"{API}/version", "/api/v3.1/version", "/outrider/v1/health", "/outrider/v1/ready"}
PEOPLE = {"viewer": "viewer", "user": "user", "admin": "admin"}
WORD = "a password for tests"


def requirement(dependant: Dependant) -> Requires | None:
    """Return what a route asks for, from its dependencies."""
    if isinstance(dependant.call, Requires):
        return dependant.call
    return next((found for each in dependant.dependencies if (found := requirement(each))), None)


def all_routes() -> list[tuple[str, str, Requires | None]]:
    found = []
    routers = [(API, each) for each in ROUTERS]
    routers += [("", each) for each in (system.unversioned, beyond.routes, health.routes, file_server.routes)]
    for prefix, router in routers:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            asked = requirement(route.dependant)
            found += [(method, prefix + route.path, asked) for method in sorted(route.methods or ())]
    return found


ROUTES = all_routes()
GUARDED = [(method, path, asked) for method, path, asked in ROUTES if asked is not None]
NAMES = [f"{method} {path}" for method, path, _ in GUARDED]


def concrete(path: str, tenant: str = "north") -> str:
    """Fill a route's parameters in."""
    return re.sub(r"\{[^}]+\}", "x", path.replace("{file_tenant}", tenant))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Manager]]:
    with manager_here(tmp_path_factory.mktemp("manager"), refusals_per_minute=100_000, wrong_passwords=3) as found:
        _running, manager = found
        hashed = passwords.hash_password(WORD)
        with manager.database.begin() as connection:
            tenants.insert(connection, "north", now=1)
            tenants.insert(connection, "south", now=1)
            for name in (*PEOPLE, "stranger", "victim"):
                users.insert(connection, User(name=f"north-{name}", password_hash=hashed), now=1)
            for name, role in PEOPLE.items():
                tenants.add_member(connection, "north", f"north-{name}", role)
            tenants.add_member(connection, "south", "north-stranger", "admin")
            for deployment_id in ("mine", "other"):
                deployments.insert(
                    connection,
                    Deployment(id=deployment_id, blueprint_id="none", tenant="north"),
                    nodes=[{"id": "node", "name": "node", "type": "a.Type"}],
                    node_instances=[InstanceView(id=f"{deployment_id}_1", node="node")],
                    now=1,
                )
            running = Execution(id="running", workflow="install", tenant="north", deployment_id="mine")
            executions.insert(connection, running, now=1)
        yield found


def test_only_the_listed_routes_are_open() -> None:
    assert {path for _method, path, asked in ROUTES if asked is None} <= OPEN


@pytest.mark.parametrize(("method", "path", "asked"), GUARDED, ids=NAMES)
def test_nothing_is_told_without_credentials(
    served: tuple[Running, Manager], method: str, path: str, asked: Requires
) -> None:
    answer = served[0].call(method, concrete(path), user=None)
    assert answer.status_code == 401
    assert answer.json()["error_code"] == "unauthorized_error"


@pytest.mark.parametrize(("method", "path", "asked"), GUARDED, ids=NAMES)
def test_nothing_is_told_to_another_tenants_people(
    served: tuple[Running, Manager], method: str, path: str, asked: Requires
) -> None:
    answer = served[0].call(method, concrete(path), user="north-stranger", password=WORD, tenant="north")
    assert answer.status_code == 403, answer.text


@pytest.mark.parametrize("role", PEOPLE)
@pytest.mark.parametrize(("method", "path", "asked"), GUARDED, ids=NAMES)
def test_a_role_is_let_in_exactly_where_its_right_is_enough(
    served: tuple[Running, Manager], method: str, path: str, asked: Requires, role: str
) -> None:
    answer = served[0].call(
        method,
        concrete(path),
        user=f"north-{role}",
        password=WORD,
        tenant="north",
        json={},
        headers={"Content-Type": "application/json"},
    )
    refused = answer.status_code == 403 and "it needs the right" in answer.text
    assert refused == (TENANT_ROLES[role] < asked.right), answer.text
    assert answer.status_code < 500


def test_execution_tokens_reach_their_own_deployment_only(served: tuple[Running, Manager]) -> None:
    running, manager = served
    token = {"Execution-Token": manager.execution_token("running")}
    change = {"version": 1, "runtime_properties": {"a": 1}}
    mine = running.call("PATCH", "/node-instances/mine_1", user=None, headers=token, json=change)
    assert (mine.status_code, mine.json()["version"]) == (200, 2)
    assert running.call("PATCH", "/node-instances/other_1", user=None, headers=token, json=change).status_code == 403
    assert running.call("POST", "/tokens", user=None, headers=token, json={}).status_code == 403
    body = {"deployment_id": "mine", "workflow_id": "uninstall"}
    assert running.call("POST", "/executions", user=None, headers=token, json=body).status_code == 403
    assert running.call("GET", "/executions/running", user=None, headers=token).status_code == 200
    stored = running.call(
        "POST", "/events", user=None, headers=token, json={"logs": [{"message": {"text": "hi"}, "level": "INFO"}]}
    )
    assert (stored.status_code, stored.text) == (201, "null")
    with manager.database.begin() as connection:
        ended = EXECUTIONS.update().where(EXECUTIONS.c.id == "running").values(status=Status.TERMINATED.value)
        connection.execute(ended)
    assert running.call("GET", "/executions/running", user=None, headers=token).status_code == 401


def starters_token(manager: Manager, execution_id: str, starter: str | None, *, for_starter: bool = True) -> str:
    """Have somebody start an execution in the north; return the token of an operation of it."""
    with manager.database.begin() as connection:
        started = Execution(
            id=execution_id, workflow="install", tenant="north", deployment_id="mine", created_by=starter, force=True
        )
        executions.insert(connection, started, now=1)
        _token, text = tokens.create(
            connection, starter or "", now=1, execution_id=execution_id, for_starter=for_starter
        )
    return text


def test_a_starters_token_may_what_the_starter_may_and_the_audit_log_names_both(
    served: tuple[Running, Manager],
) -> None:
    running, manager = served
    sent: dict[str, Any] = {"user": None, "tenant": "north"}
    sent["headers"] = {"Execution-Token": starters_token(manager, "acting", "north-user")}
    assert running.call("PUT", "/secrets/by-operation", json={"value": "v"}, **sent).status_code == 200
    assert running.call("GET", "/secrets/by-operation", **sent).json()["created_by"] == "north-user"
    body = {"deployment_id": "mine", "workflow_id": "install", "force": True}
    started = running.call("POST", "/executions", json=body, **sent)
    assert "token" not in started.text, "it is the deployment that is refused, which has no plan"
    for method, path in (("POST", "/tokens"), ("PUT", "/users"), ("POST", "/tenants/own"), ("PUT", "/tenants/users")):
        refused = running.call(method, path, json={}, **sent)
        assert (refused.status_code, "needs a person's credentials" in refused.text) == (403, True), path
    elsewhere = running.call("PUT", "/secrets/by-operation", json={"value": "v"}, **{**sent, "tenant": "south"})
    assert (elsewhere.status_code, "'north' only, not for 'south'" in elsewhere.text) == (403, True)
    change = {"version": 1, "runtime_properties": {"a": 1}}
    assert running.call("PATCH", "/node-instances/other_1", json=change, **sent).status_code == 403

    def recorded() -> list[dict[str, Any]]:
        entries = running.call("GET", "/outrider/v1/audit").json()["items"]
        return [each for each in entries if (each["path"], each["status"]) == ("/api/v3.1/secrets/by-operation", 200)]

    entry = wait_until(recorded, 20, "the entry, which is written after the answer")[0]
    assert (entry["user"], entry["execution_id"]) == ("north-user", "acting")


@pytest.mark.parametrize(("starter", "for_starter", "told"), [
    ("north-user", False, "executor: central_deployment_agent"),
    ("north-viewer", True, "'north-viewer' is no active user with the right write in tenant 'north'"),
    ("north-stranger", True, "'north-stranger' is no active user"),
    ("gone", True, "'gone' is no active user"),
    (None, True, "is no active user"),
])  # fmt: skip
def test_a_token_that_stands_for_nobody_with_the_right_is_refused_with_the_reason(
    served: tuple[Running, Manager], starter: str | None, for_starter: bool, told: str
) -> None:
    running, manager = served
    execution_id = f"refused-{starter}"
    token = {"Execution-Token": starters_token(manager, execution_id, starter, for_starter=for_starter)}
    asked: list[tuple[str, str]] = [("PUT", "/secrets/none"), ("POST", "/executions"), ("PUT", "/blueprints/none")]
    for method, path in (*asked, ("PUT", "/deployments/none"), ("DELETE", "/deployments/other")):
        refused = running.call(method, path, user=None, tenant="north", headers=token, json={"value": "v"})
        assert (refused.status_code, told in refused.json()["message"]) == (403, True), refused.text
    assert running.call("GET", f"/executions/{execution_id}", user=None, headers=token).status_code == 200


def test_execution_tokens_open_no_other_tenants_files(served: tuple[Running, Manager]) -> None:
    running, manager = served
    with manager.database.begin() as connection:
        twin = Deployment(id="mine", blueprint_id="none", tenant="south")
        deployments.insert(connection, twin, nodes=[], node_instances=[], now=1)
        guest = Execution(id="guest", workflow="install", tenant="north", deployment_id="mine", force=True)
        executions.insert(connection, guest, now=1)
    south: dict[str, Any] = {"user": "north-stranger", "password": WORD, "tenant": "south"}
    path = "/resources/deployments/south/mine/key"
    assert running.call("PUT", path, data=b"of the south", **south).status_code == 200
    token = {"Execution-Token": manager.execution_token("guest")}
    for method in ("GET", "PUT", "DELETE"):
        assert running.call(method, path, user=None, headers=token).status_code == 403, method
    assert running.call("GET", "/resources/blueprints/south/b/f", user=None, headers=token).status_code == 403
    assert running.call("GET", path, **south).content == b"of the south"
    own = path.replace("south", "north")
    assert running.call("PUT", own, user=None, headers=token, data=b"of the north").status_code == 200


@pytest.mark.parametrize(("starter", "readable"), [("north-admin", True), ("north-user", False), ("admin", True)])
def test_execution_tokens_read_hidden_secrets_as_far_as_their_starter_may(
    served: tuple[Running, Manager], starter: str, readable: bool
) -> None:
    running, manager = served
    creator: dict[str, Any] = {"user": "north-admin", "password": WORD, "tenant": "north"}
    secret = {"value": "behind", "is_hidden_value": True, "update_if_exists": True}
    assert running.call("PUT", "/secrets/vault", json=secret, **creator).status_code == 200
    running.call("PUT", "/secrets/plain", json={"value": "open", "update_if_exists": True}, **creator)
    with manager.database.begin() as connection:
        started = Execution(
            id=f"of-{starter}", workflow="install", tenant="north", deployment_id="mine", created_by=starter, force=True
        )
        executions.insert(connection, started, now=1)
    token = {"Execution-Token": manager.execution_token(f"of-{starter}")}
    value = running.call("GET", "/secrets/vault", user=None, headers=token).json()["value"]
    assert value == ("behind" if readable else "")
    assert running.call("GET", "/secrets/plain", user=None, headers=token).json()["value"] == "open"
    asked = {"deployment_id": "mine", "payload": {"a": {"get_secret": "vault"}, "b": {"get_secret": "plain"}}}
    evaluated = running.call("POST", "/evaluate/functions", user=None, headers=token, json=asked)
    assert evaluated.status_code == (200 if readable else 403), evaluated.text
    assert ("behind" in evaluated.text) == readable


def test_functions_do_not_tell_anothers_private_secret(served: tuple[Running, Manager]) -> None:
    running, _manager = served
    creator: dict[str, Any] = {"user": "north-admin", "password": WORD, "tenant": "north"}
    secret = {"value": "for one", "visibility": "private", "update_if_exists": True}
    assert running.call("PUT", "/secrets/own", json=secret, **creator).status_code == 200
    asked = {"deployment_id": "mine", "payload": {"a": {"get_secret": "own"}}}
    other = {**creator, "user": "north-user"}
    assert "for one" in running.call("POST", "/evaluate/functions", json=asked, **creator).text
    refused = running.call("POST", "/evaluate/functions", json=asked, **other)
    assert (refused.status_code, "for one" in refused.text) == (403, False)


@pytest.mark.parametrize(("user", "fields", "status"), [
    ("north-user", {}, 403),
    ("north-admin", {}, 201),
    ("north-admin", {"created_by": "admin"}, 403),
    ("admin", {"created_by": "north-user"}, 201),
])  # fmt: skip
def test_executions_of_workflows_elsewhere_are_made_by_administrators(
    served: tuple[Running, Manager], user: str, fields: dict[str, str], status: int
) -> None:
    body = {"deployment_id": "other", "workflow_id": "theirs", "force_status": "terminated", **fields}
    password = None if user == "admin" else WORD
    answer = served[0].call("POST", "/executions", user=user, password=password, tenant="north", json=body)
    assert answer.status_code == status, answer.text
    assert status != 201 or answer.json()["created_by"] == (fields.get("created_by") or user)


def test_an_account_is_locked_after_wrong_passwords_and_unlocked_by_an_administrator(
    served: tuple[Running, Manager],
) -> None:
    running, manager = served
    with manager.database.begin() as connection:
        tenants.add_member(connection, "north", "north-victim", "viewer")

    def status(password: str) -> int:
        return running.call("GET", "/status", user="north-victim", password=password, tenant="north").status_code

    assert [status("wrong") for _ in range(3)] == [401, 401, 401]
    assert status(WORD) == 401
    assert running.call("GET", "/users/north-victim").json()["is_locked"] is True
    assert running.call("POST", "/users/unlock/north-victim").status_code == 200
    assert status(WORD) == 200


def test_tokens_are_shown_once_expire_and_die_when_deleted(served: tuple[Running, Manager]) -> None:
    running, _manager = served
    made = running.call("POST", "/tokens", json={"expiration_date": "+10h"})
    assert made.status_code == 200
    value = made.json()["value"]
    assert value not in running.call("GET", "/tokens").text
    headers = {"Authentication-Token": value}
    assert running.call("GET", "/status", user=None, headers=headers).status_code == 200
    assert running.call("DELETE", f"/tokens/{made.json()['id']}").status_code == 204
    assert running.call("GET", "/status", user=None, headers=headers).status_code == 401
    gone = running.call("POST", "/tokens", json={"expiration_date": "2001-01-01 00:00"}).json()["value"]
    assert running.call("GET", "/status", user=None, headers={"Authentication-Token": gone}).status_code == 401


def test_changes_are_in_the_audit_log_without_what_was_sent(served: tuple[Running, Manager]) -> None:
    running, _manager = served
    running.call("PUT", "/secrets/door", json={"value": "very secret"})

    def recorded() -> list[dict[str, Any]]:
        entries = running.call("GET", "/outrider/v1/audit").json()["items"]
        return [each for each in entries if each["path"].endswith("/secrets/door")]

    newest = wait_until(recorded, 20, "the entry, which is written after the answer")[0]
    answer = running.call("GET", "/outrider/v1/audit")
    assert (newest["user"], newest["method"], newest["status"]) == ("admin", "PUT", 200)
    assert "very secret" not in answer.text


def test_no_name_keeps_a_change_out_of_the_audit_log(served: tuple[Running, Manager]) -> None:
    running, _manager = served
    assert running.call("POST", "/tenants/events", json={}).status_code == 201
    assert running.call("DELETE", "/tenants/events").status_code == 204

    def recorded() -> bool:  # an entry is written once its answer is out
        entries = running.call("GET", "/outrider/v1/audit").json()["items"]
        return {"DELETE", "POST"} <= {each["method"] for each in entries if each["path"] == "/api/v3.1/tenants/events"}

    wait_until(recorded, 20, "both changes in the audit log")


def test_rights_include_those_before_them() -> None:
    assert Right.READ < Right.WRITE < Right.TENANT < Right.SYSTEM


def test_passwords_are_salted_and_checked(tmp_path: Path) -> None:
    first, second = passwords.hash_password("same"), passwords.hash_password("same")
    assert first != second
    assert passwords.matches("same", first)
    assert not passwords.matches("other", first)
    assert not passwords.matches("same", None)
