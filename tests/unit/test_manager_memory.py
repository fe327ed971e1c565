"""What the manager remembers between requests, and when it forgets: callers for a second, counts until a change."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from outrider.dispatcher.store import deployments, instances
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.deployments import Deployment
from outrider.dispatcher.store.schema import DEPLOYMENTS
from outrider.dispatcher.workflows.view import InstanceView
from outrider.manager_stub import known_callers
from outrider.manager_stub.access import Caller, Right
from outrider.manager_stub.instance_states import InstanceStates
from outrider.manager_stub.known_callers import KnownCallers, Ticket

ANN = Caller(user="ann", right=Right.READ, tenant="north", tenants=("north",))
HEADERS = {"authentication-token": "ctok-1-x", "tenant": "north"}
KEY = ("default_tenant", "app")


def ticket(known: KnownCallers, headers: dict[str, str] = HEADERS) -> Ticket:
    found = known.find(headers, tenant=None)
    assert isinstance(found, Ticket)
    return found


def test_a_caller_is_known_by_credentials_and_tenant() -> None:
    known = KnownCallers()
    known.add(ticket(known), ANN)
    assert known.find(HEADERS, tenant=None) == ANN
    for other in ({**HEADERS, "tenant": "south"}, {**HEADERS, "authentication-token": "ctok-1-y"}, {}):
        assert isinstance(known.find(other, tenant=None), Ticket)
    assert isinstance(known.find(HEADERS, tenant="south"), Ticket), "a tenant in the path counts"


def test_a_caller_is_forgotten_when_accounts_may_have_changed() -> None:
    known = KnownCallers()
    known.add(ticket(known), ANN)
    known.forget()
    assert isinstance(known.find(HEADERS, tenant=None), Ticket)


def test_what_was_looked_up_before_a_change_is_not_remembered_after_it() -> None:
    known = KnownCallers()
    before = ticket(known)
    known.forget()
    known.add(before, ANN)
    assert isinstance(known.find(HEADERS, tenant=None), Ticket)


def test_a_caller_is_known_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    known = KnownCallers()
    known.add(ticket(known), ANN)
    later = time.monotonic() + known_callers.REMEMBER_SECONDS
    monkeypatch.setattr(known_callers.time, "monotonic", lambda: later)
    assert isinstance(known.find(HEADERS, tenant=None), Ticket)


def test_memory_is_bounded() -> None:
    known = KnownCallers()
    for number in range(known_callers.REMEMBERED + 1):
        known.add(ticket(known, {"tenant": str(number)}), ANN)
    assert isinstance(known.find({"tenant": "0"}, tenant=None), Ticket)
    assert known.find({"tenant": "1"}, tenant=None) == ANN


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(str(tmp_path / "store.db"))
    with opened.begin() as connection:
        made = [InstanceView(id=f"web_{number}", node="web", state="started") for number in range(3)]
        nodes = [{"id": "web", "name": "web", "type": "a.Type"}]
        deployments.insert(connection, Deployment(id="app", blueprint_id="b"), nodes=nodes, node_instances=made, now=1)
    yield opened
    opened.close()


def counted(database: Database, states: InstanceStates) -> tuple[dict[str, int], int]:
    """Return the deployment's counts, and how many queries they took."""
    with database.read() as connection:
        rows = connection.execute(sa.select(DEPLOYMENTS)).all()
        queries: list[str] = []

        def note(*arguments: object) -> None:
            queries.append(str(arguments[2]))

        event.listen(connection, "before_cursor_execute", note)
        return dict(states.of(connection, rows)[KEY]), len(queries)


def test_instances_are_counted_again_only_after_a_change(database: Database) -> None:
    states = InstanceStates()
    assert counted(database, states) == ({"started": 3}, 1)
    assert counted(database, states) == ({"started": 3}, 0)
    with database.begin() as connection:
        instances.patch(connection, KEY, "web_0", version=None, state="stopped")
    assert counted(database, states) == ({"started": 2, "stopped": 1}, 1)


def test_a_deployment_made_again_under_its_name_is_counted_again(database: Database) -> None:
    states = InstanceStates()
    assert counted(database, states)[0] == {"started": 3}
    with database.begin() as connection:
        deployments.delete(connection, KEY, force=True)
        deployments.insert(connection, Deployment(id="app", blueprint_id="b"), nodes=[], node_instances=[], now=2)
    assert counted(database, states)[0] == {}
