"""List calls go straight to their endpoints, and nothing else does."""

from __future__ import annotations

from pathlib import Path

from starlette.routing import Match

from outrider.manager_stub.app import API
from outrider.manager_stub.routes import ROUTERS
from outrider.manager_stub.straight import StraightRoutes
from tests.support.managers import manager_here

LISTS = ("plugins", "blueprints", "deployments", "executions", "events", "nodes", "node-instances", "agents", "secrets")
STRAIGHT = StraightRoutes([(API, each) for each in ROUTERS])


def claims(path: str, *, method: str = "GET", kind: str = "http") -> bool:
    return STRAIGHT.matches({"type": kind, "method": method, "path": path})[0] is Match.FULL


def test_the_lists_that_clients_follow_go_straight() -> None:
    assert STRAIGHT.paths == {f"{API}/{name}" for name in LISTS}


def test_everything_else_goes_its_ordinary_way() -> None:
    assert claims(f"{API}/events")
    assert not claims(f"{API}/events", method="POST")
    assert not claims(f"{API}/events", method="HEAD")
    assert not claims(f"{API}/events", kind="websocket")
    for path in ("/events", f"{API}/events/", f"{API}/deployments/app", f"{API}/summary/nodes", f"{API}/tokens"):
        assert not claims(path), path


def test_a_page_that_goes_straight_is_counted_and_its_errors_are_in_the_envelope(tmp_path: Path) -> None:
    with manager_here(tmp_path) as (running, manager):
        answer = running.call("GET", "/deployments")
        assert answer.json()["items"] == []
        assert answer.headers["x-frame-options"] == "DENY"
        wrong = running.call("GET", "/deployments?_size=none")
        assert (wrong.status_code, wrong.json()["error_code"]) == (400, "bad_parameters_error")
        assert running.call("GET", "/deployments", user=None).status_code == 401
        with manager.database.read() as connection:
            counted = manager.metrics.text(connection)
        assert 'route="/deployments",status="200"} 1' in counted
