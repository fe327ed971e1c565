"""Lists of deployments name the newest execution of each, on both kinds of database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from outrider.dispatcher.store import deployments, executions
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.deployments import Deployment
from outrider.dispatcher.store.executions import Execution
from outrider.manager_stub.access import Caller, Right
from outrider.manager_stub.listing import ListCall
from outrider.manager_stub.reading import PageJob, make_page
from tests.support import postgres

ANN = Caller(user="ann", right=Right.SYSTEM, tenant="north", tenants=("north", "south"))


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "postgresql" and postgres.programs() is None:
        pytest.skip("PostgreSQL is not installed")
    opened = Database(postgres.new_database() if request.param == "postgresql" else str(tmp_path / "store.db"))
    yield opened
    opened.close()


def test_each_deployment_has_its_own_newest_execution(database: Database) -> None:
    with database.begin() as connection:
        for tenant, name in (("north", "a"), ("north", "b"), ("north", 'odd "name"'), ("south", "a")):
            deployment = Deployment(id=name, blueprint_id="b", tenant=tenant)
            deployments.insert(connection, deployment, nodes=[], node_instances=[], now=1)
        for run, tenant, name, at in (
            ("new", "north", "a", 30.0), ("old", "north", "a", 10.0), ("odd", "north", 'odd "name"', 20.0),
            ("south", "south", "a", 40.0),
        ):  # fmt: skip
            record = Execution(id=run, workflow="install", deployment_id=name, tenant=tenant, force=True)
            executions.insert(connection, record, now=at)
    listing = ListCall(all_tenants=True, sort=("id",), include=("tenant_name", "id", "latest_execution"))
    page = make_page(PageJob(kind="deployment", caller=ANN, listing=listing), database)
    found = {(each["tenant_name"], each["id"]): each["latest_execution"] for each in orjson.loads(page)["items"]}
    assert found == {
        ("north", "a"): "new", ("north", "b"): None, ("north", 'odd "name"'): "odd", ("south", "a"): "south",
    }  # fmt: skip
