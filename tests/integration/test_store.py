"""The store, on SQLite and on PostgreSQL: schema, leases, claims, verdicts, executions across dispatchers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from outrider.dispatcher import wishes
from outrider.dispatcher.errors import (
    AlreadyExists,
    ExecutionRunning,
    SchemaTooNew,
    StoreBusy,
    StoreUnavailable,
    VersionConflict,
)
from outrider.dispatcher.store import agents, events, executions, instances, ownership, tenants
from outrider.dispatcher.store import database as databases
from outrider.dispatcher.store.agents import Agent
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.events import Event
from outrider.dispatcher.store.executions import Cancel, Execution, Status
from outrider.dispatcher.store.ownership import Member
from outrider.dispatcher.store.schema import METADATA, SCHEMA_FLOOR
from tests.support.engines import DEPLOYMENT, Bench, chain, make_deployment, one_stage, operation, side_by_side
from tests.support.postgres import new_database
from tests.support.scripted_agent import ScriptedAgent, succeeded


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store.db") if request.param == "sqlite" else new_database()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(url)
    yield opened
    opened.close()


def execution(**fields: object) -> Execution:
    return Execution(id=str(uuid.uuid4()), workflow="test", deployment_id="app", **fields)  # type: ignore[arg-type]


def test_the_migrations_make_the_schema_that_the_code_describes(database: Database) -> None:
    with database.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_a_client_that_sleeps_in_a_transaction_does_not_hold_its_rows_for_ever() -> None:
    # Of PostgreSQL only: SQLite has no way to end another process's transaction.
    with closing(Database(new_database())) as database, database.read() as connection:
        assert connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one() == "1min"


def test_opening_again_changes_nothing(database: Database, url: str) -> None:
    Database(url).close()


def test_a_newer_schema_is_used_unless_it_says_otherwise(database: Database, url: str) -> None:
    with database.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    Database(url).close()
    with database.begin() as connection:
        connection.execute(sa.update(SCHEMA_FLOOR).values(floor=9999))
    with pytest.raises(SchemaTooNew, match="upgrade Outrider"):
        Database(url)


def test_another_programs_database_is_refused_with_the_remedy(database: Database, url: str) -> None:
    with database.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '1f3ac9e0b2d4'"))
    with pytest.raises(StoreUnavailable, match=r"another program: its schema is '1f3ac9e0b2d4'.*database_url"):
        Database(url)


def test_a_file_that_is_no_database_is_named_with_the_remedy(tmp_path: Path) -> None:
    file = tmp_path / "outrider.db"
    file.write_bytes(b"no database " * 1000)
    with pytest.raises(StoreUnavailable, match=rf"{file}: file is not a database; .*database_url"):
        Database(str(file))


def test_one_running_execution_per_deployment(database: Database) -> None:
    make_deployment(database)
    with database.begin() as connection:
        executions.insert(connection, execution(), now=1.0)
        with pytest.raises(ExecutionRunning):
            executions.insert(connection, execution(), now=2.0)
        assert executions.insert(connection, execution(queue=True), now=3.0).status is Status.QUEUED
        assert executions.insert(connection, execution(force=True), now=4.0).status is Status.PENDING


def test_a_name_that_is_taken_is_refused_and_the_transaction_goes_on(database: Database) -> None:
    with database.begin() as connection:
        tenants.insert(connection, "north", now=1.0)
        with pytest.raises(AlreadyExists, match="tenant 'north' exists already"):
            tenants.insert(connection, "north", now=2.0)
        tenants.insert(connection, "south", now=3.0)
    with database.read() as connection:
        assert (tenants.get(connection, "north").created_at, tenants.get(connection, "south").created_at) == (1.0, 3.0)


def member(name: str, lease_until: float) -> Member:
    return Member(id=name, host="here", version="1", started_at=0.0, lease_until=lease_until)


def test_claims_give_an_execution_to_one_and_adoption_raises_the_epoch(database: Database) -> None:
    make_deployment(database)
    asked = execution()
    with database.begin() as connection:
        executions.insert(connection, asked, now=1.0)
        ownership.renew(connection, member("one", 100.0))
        ownership.renew(connection, member("two", 200.0))
        assert ownership.claim(connection, "one", now=50.0, limit=10) == [asked.id]
        assert ownership.claim(connection, "two", now=50.0, limit=10) == []
        first = executions.get(connection, asked.id)
        assert ownership.claim(connection, "two", now=150.0, limit=10) == [asked.id]
        second = executions.get(connection, asked.id)
        assert second.owner_epoch == first.owner_epoch + 1
        assert not executions.update_owned(connection, first, {})
        assert not executions.update_owned(connection, first, {"error": "written by the dead"})
        assert executions.update_owned(connection, second, {})
        assert executions.get(connection, asked.id).error is None


def test_one_that_was_made_for_a_dispatcher_is_claimed_by_no_other_while_that_one_lives(database: Database) -> None:
    def alive(now: float) -> Member:
        return member("one", now + 30.0)

    def claimed(name: str, now: float) -> list[str]:
        with database.begin() as connection:
            return ownership.claim(connection, name, now=now, limit=10)

    plugin = {"name": "p", "source": "p.py", "built": {}}
    asked = wishes.start_operations(database, ["a", "b"], plugin, "p.f", timeout=None, tenant="t", owner=alive)
    now = asked[0].created_at
    assert claimed("two", now) == []
    assert set(claimed("one", now)) == {each.id for each in asked}
    assert claimed("one", now) == [], "it has them"
    assert set(claimed("two", now + 31.0)) == {each.id for each in asked}, "one is dead"
    with database.read() as connection:
        stored = [executions.get(connection, each.id) for each in asked]
    assert [(each.owner, each.owner_epoch, each.details["direct"]["agent"]) for each in stored] == [
        ("two", 2, "a"),
        ("two", 2, "b"),
    ]
    assert [(each.id, each.created_at, each.details) for each in stored] == [
        (each.id, each.created_at, each.details) for each in asked
    ]


def test_what_is_read_together_on_sqlite_is_of_one_moment(tmp_path: Path) -> None:
    # PostgreSQL reads what is committed.
    with closing(Database(str(tmp_path / "store.db"))) as database:
        (asked,) = wishes.start_operations(database, ["a"], {"name": "p"}, "p.f", timeout=None, tenant="t")
        with database.read() as reading:
            assert executions.get(reading, asked.id).cancel is None
            wishes.cancel(database, asked.id, Cancel.NORMAL, decided_by="somebody")
            assert executions.get(reading, asked.id).cancel is None
        with database.read() as reading:
            assert executions.get(reading, asked.id).cancel is Cancel.NORMAL


def test_a_repeated_transaction_that_fails_leaves_nothing_and_the_next_one_works(database: Database) -> None:
    repeated = database.repeated()

    def fail() -> None:
        with repeated.begin() as connection:
            tenants.insert(connection, "half", now=1.0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    for name in ("first", "second"):
        with repeated.begin() as connection:
            tenants.insert(connection, name, now=1.0)
    with database.read() as connection:
        assert {each.name for each in tenants.listed(connection)} == {"first", "second"}


def test_repeated_transactions_are_committed_one_by_one(database: Database, url: str) -> None:
    repeated = database.repeated()
    with closing(Database(url)) as other:
        for count in (1, 2):
            with repeated.begin() as connection:
                tenants.insert(connection, f"tenant_{count}", now=1.0)
            with other.begin() as connection:
                assert len(tenants.listed(connection)) == count


def test_a_closed_sqlite_database_is_held_by_nobody(tmp_path: Path) -> None:
    # SQLite removes its log with the last connection.
    opened = Database(str(tmp_path / "store.db"))
    with opened.repeated().begin() as connection:
        tenants.insert(connection, "more", now=1.0)
    opened.close()
    assert [each.name for each in tmp_path.iterdir()] == ["store.db"]


def test_a_sqlite_database_that_another_one_writes_to_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "BUSY_TIMEOUT_SECONDS", 0.01)
    path = str(tmp_path / "store.db")
    with closing(Database(path)) as one, closing(Database(path)) as other:
        repeated = other.repeated()
        with one.begin():
            for transaction in (other.begin, repeated.begin):
                with pytest.raises(StoreBusy, match=r"store\.db: another process has held the database"), transaction():
                    pytest.fail("it was begun")
        with repeated.begin() as connection:
            tenants.insert(connection, "later", now=1.0)


def test_a_record_of_an_attempt_is_stored_once(database: Database) -> None:
    line = Event(message="hello", happened_at=1.0, level="info", attempt_id="a.1", sequence=1)
    with database.begin() as connection:
        events.append(connection, [line, line], now=1.0)
        events.append(connection, [line], now=2.0)
        assert [each.message for each in events.after(connection, 0)] == ["hello"]


@pytest.mark.parametrize("count", [1, 31, 32, 33, 70])
def test_rows_that_are_written_together_keep_their_order(database: Database, count: int) -> None:
    told = [f"event {number}" for number in range(count)]
    with database.begin() as connection:
        events.append(connection, [Event(message=each, happened_at=1.0, node=each) for each in told], now=2.0)
        stored = events.after(connection, 0)
    assert [(each.message, each.node) for each in stored] == list(zip(told, told, strict=True))


def test_an_instance_refuses_a_change_that_is_based_on_an_older_version(database: Database) -> None:
    make_deployment(database)
    with database.begin() as connection:
        instances.patch(connection, DEPLOYMENT, "node_1", version=1, runtime_properties={"a": 1})
        with pytest.raises(VersionConflict):
            instances.patch(connection, DEPLOYMENT, "node_1", version=1, runtime_properties={"a": 2})
        # Clients of the REST API send the version that they want to make.
        assert instances.patch(connection, DEPLOYMENT, "node_1", version=3, state="started").version == 3


def test_agents_are_replaced_as_a_whole(database: Database) -> None:
    with database.begin() as connection:
        agents.save(connection, Agent(id="a", journal_epoch="1", heartbeat={"x": 1}))
        agents.save(connection, Agent(id="a", journal_epoch="2"))
        assert agents.get(connection, "a").journal_epoch == "2"
        assert agents.get(connection, "a").heartbeat is None


@pytest.fixture
def made(database: Database) -> Iterator[Bench]:
    make_deployment(database)
    graph = side_by_side(*(operation(f"t{number}") for number in range(50)))
    opened = Bench(database, one_stage(graph))
    yield opened
    opened.close()


def test_two_dispatchers_share_results_and_finish(made: Bench) -> None:
    agent = ScriptedAgent(made.transport, answer=lambda task: succeeded(task, number=task.task_id))
    two = made.new_engine("two")
    execution_id = made.start()
    ended = made.ended(execution_id, engines=(made.engine, two), seconds=60)
    assert ended.status is Status.TERMINATED, ended.error
    assert len(made.attempts(execution_id)) == len(agent.tasks) == 50
    two.stop()


def test_a_dead_dispatcher_is_replaced_and_nothing_is_sent_twice(made: Bench) -> None:
    agent = ScriptedAgent(made.transport, answer=lambda _task: None)
    execution_id = made.start()
    made.until(lambda: len(agent.tasks) == 50)
    made.until(lambda: all(each.state.value == "sent" for each in made.attempts(execution_id)))
    made.kill(made.engine)
    for task in agent.tasks[:25]:
        agent.send(succeeded(task))
    two = made.new_engine("two")
    made.look(two)
    for task in agent.tasks[25:]:
        agent.send(succeeded(task))
    assert made.ended(execution_id, engines=(two,), seconds=60).status is Status.TERMINATED
    assert len(agent.tasks) == 50
    two.stop()


def test_a_paused_dispatcher_drops_what_was_adopted_meanwhile(made: Bench) -> None:
    made.planner = lambda _execution, _view: one_stage(chain(operation("a"), operation("b")))
    agent = ScriptedAgent(made.transport, answer=lambda _task: None)
    execution_id = made.start()
    made.until(lambda: len(agent.tasks) == 1)
    made.end_lease(made.engine)
    two = made.new_engine("two")
    made.look(two)
    assert made.execution(execution_id).owner == "two"
    agent.answer = succeeded
    agent.send(succeeded(agent.tasks[0]))
    assert made.ended(execution_id, engines=(made.engine, two), seconds=60).status is Status.TERMINATED
    assert [each.number for each in made.attempts(execution_id)] == [1, 1]
    two.stop()
