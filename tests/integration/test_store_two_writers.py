"""Two processes that write to one PostgreSQL at once: one is made to wait for the other, at the worst place."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from outrider.dispatcher import wishes
from outrider.dispatcher.engine import Engine
from outrider.dispatcher.errors import Conflict, ExecutionRunning
from outrider.dispatcher.model import Model
from outrider.dispatcher.signals import ResultArrived, UpdateArrived
from outrider.dispatcher.store import agents, executions, ownership
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.executions import Cancel, Execution, Status
from outrider.dispatcher.store.schema import EXECUTIONS
from outrider.dispatcher.turn import Turn
from outrider.messaging.messages import OperationTask, PropertyChange
from tests.support.engines import DEPLOYMENT, Bench, make_deployment, one_stage, operation, side_by_side
from tests.support.postgres import new_database
from tests.support.scripted_agent import ScriptedAgent, succeeded
from tests.support.waiting import wait_until


def silent(_task: OperationTask) -> None:
    return None


@pytest.fixture
def database() -> Iterator[Database]:
    opened = Database(new_database())
    make_deployment(opened, instances=2)
    yield opened
    opened.close()


@pytest.fixture
def made(database: Database) -> Iterator[Bench]:
    opened = Bench(database, one_stage(side_by_side(operation("a"), operation("b", instance="node_2"))))
    yield opened
    opened.close()


def waiting(database: Database) -> bool:
    """Tell whether somebody waits for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with database.read() as connection:
        return int(connection.execute(sa.text(query)).scalar_one()) > 0


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as made:
        yield made


def store(database: Database, **fields: object) -> str:
    record = Execution(id=str(uuid.uuid4()), workflow="test", deployment_id="app", **fields)  # type: ignore[arg-type]
    with database.begin() as connection:
        return executions.insert(connection, record, now=1.0).id


def test_a_cancel_that_meets_the_end_of_its_execution_comes_too_late(
    database: Database, pool: ThreadPoolExecutor
) -> None:
    execution_id = store(database)
    with database.begin() as connection:
        ended = sa.update(EXECUTIONS).where(EXECUTIONS.c.id == execution_id).values(status="terminated")
        connection.execute(ended)
        cancelled = pool.submit(lambda: wishes.cancel(database, execution_id, Cancel.NORMAL, decided_by="me"))
        wait_until(lambda: waiting(database), describe="the cancel, at the engine's transaction")
    with pytest.raises(Conflict, match="has ended already"):
        cancelled.result(20)
    with database.read() as connection:
        assert executions.get(connection, execution_id).status is Status.TERMINATED


def test_a_cancel_that_meets_the_begin_of_a_queued_execution_reaches_its_engine(
    database: Database, pool: ThreadPoolExecutor
) -> None:
    store(database, status=Status.TERMINATED)
    execution_id = store(database, status=Status.QUEUED)
    with database.begin() as connection:
        ownership.release_waiting(connection, now=2.0)
        assert ownership.claim(connection, "one", now=2.0, limit=9) == [execution_id]
        cancelled = pool.submit(lambda: wishes.cancel(database, execution_id, Cancel.NORMAL, decided_by="me"))
        wait_until(lambda: waiting(database), describe="the cancel, at the engine's transaction")
    cancelled.result(20)
    with database.read() as connection:
        assert executions.cancel_requests(connection, "one") == {execution_id: Cancel.NORMAL}


def test_a_start_that_meets_the_begin_of_a_queued_execution_is_refused(
    database: Database, pool: ThreadPoolExecutor
) -> None:
    execution_id = store(database, status=Status.QUEUED)
    with database.begin() as connection:
        ownership.release_waiting(connection, now=2.0)
        other = pool.submit(store, database)
        wait_until(lambda: other.done() or waiting(database), describe="the start, at the engine's transaction")
    with pytest.raises(ExecutionRunning, match=execution_id):
        other.result(20)


def test_of_two_heartbeats_that_are_taken_at_once_the_newer_one_stays(made: Bench, pool: ThreadPoolExecutor) -> None:
    agent = ScriptedAgent(made.transport)
    agent.heartbeat()
    made.take_in()
    agent.heartbeat()
    wait_until(lambda: len(made.engine.inbox) > 0, describe="the older heartbeat")
    with made.database.begin() as connection:
        # What a dispatcher does that has the next one.
        (known,) = agents.by_ids(connection, ["central"], lock=True).values()
        assert known.heartbeat is not None
        newer = {**known.heartbeat, "clock_seconds": agent.clock + 5, "journal_epoch": "epoch-2"}
        changed = {name: getattr(known, name) for name in known.__dataclass_fields__}
        changed |= {"heartbeat": newer, "journal_epoch": "epoch-2"}
        agents.save(connection, agents.Agent(**changed))
        turn = pool.submit(made.engine.turn)
        wait_until(lambda: waiting(made.database), describe="the turn, at the newer heartbeat's transaction")
    turn.result(20)
    with made.database.read() as connection:
        assert agents.get(connection, "central").journal_epoch == "epoch-2"


def running(made: Bench, agent: ScriptedAgent) -> tuple[str, list[OperationTask]]:
    """Start the execution; return its tasks in the order of the graph."""
    execution_id = made.start()
    made.until(lambda: len(agent.tasks) == 2)
    made.until(lambda: {each.state.value for each in made.attempts(execution_id)} == {"sent"})
    return execution_id, sorted(agent.tasks, key=lambda each: each.task_id)


def test_a_property_that_another_dispatcher_takes_in_while_the_owner_writes_the_same_instance_is_kept(
    made: Bench, pool: ThreadPoolExecutor
) -> None:
    agent = ScriptedAgent(made.transport, answer=silent)
    _, (task, _) = running(made, agent)
    agent.send(succeeded(task, color="red"))
    wait_until(lambda: len(made.engine.inbox) > 0, describe="the result")
    change = PropertyChange("node_1", {"id": "i-1"}, (), 1, sequence=1)
    with made.database.begin() as connection:
        theirs = Model.load(connection, DEPLOYMENT, {})
        theirs.merge([change], after=0)
        theirs.flush(connection)
        turn = pool.submit(made.engine.turn)
        wait_until(lambda: waiting(made.database), describe="the owner, at the other dispatcher's transaction")
    turn.result(20)
    assert made.properties() == {"id": "i-1", "color": "red"}


def test_two_dispatchers_with_each_others_results_and_updates_do_not_wait_for_each_other_for_ever(
    made: Bench, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    agent = ScriptedAgent(made.transport, answer=silent)
    execution_id, (a, b) = running(made, agent)
    two = made.new_engine("two")
    first, second = made.engine, two
    agent.send(succeeded(a))
    agent.send(succeeded(b))
    agent.update(a, properties=(PropertyChange("node_1", {"id": "i-1"}, (), 1, sequence=1),))
    agent.update(b, properties=(PropertyChange("node_2", {"id": "i-2"}, (), 1, sequence=1),))
    wait_until(lambda: len(first.inbox) + len(second.inbox) == 4, describe="all four messages")
    # As if each dispatcher had got one result and the other's update.
    moved = [*first.inbox._signals, *second.inbox._signals]
    for engine, own, other in ((first, a, b), (second, b, a)):
        engine.inbox._signals.clear()
        for each in moved:
            if (isinstance(each, ResultArrived) and each.result.attempt_id == own.attempt_id) or (
                isinstance(each, UpdateArrived) and each.update.attempt_id == other.attempt_id
            ):
                engine.inbox.put(each)
        assert len(engine.inbox) == 2
    there: set[Engine] = set()

    def gated(engine: Engine) -> None:
        take = engine._recorder.updates

        def updates(turn: Turn, arrivals: Sequence[UpdateArrived]) -> None:
            there.add(engine)
            wait_until(lambda: len(there) == 2 or waiting(made.database), describe="the other dispatcher")
            take(turn, arrivals)

        monkeypatch.setattr(engine._recorder, "updates", updates)

    gated(first)
    gated(second)
    turns = [pool.submit(first.turn), pool.submit(second.turn)]
    for turn in turns:
        turn.result(20)
    monkeypatch.undo()
    assert made.ended(execution_id, engines=(first, second)).status is Status.TERMINATED
    assert not [each.message for each in caplog.records if each.levelname == "ERROR"], "no turn had to be given up"
    two.stop()


def test_a_server_that_only_reads_for_a_while_ends_no_engine(made: Bench) -> None:
    ScriptedAgent(made.transport)
    execution_id = made.start()

    def may_write(*, yes: bool) -> None:
        name = sa.make_url(made.database.url).database
        with made.database._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("SET default_transaction_read_only = off"))
            connection.execute(sa.text(f"ALTER DATABASE {name} SET default_transaction_read_only = {not yes}"))
        made.database._engine.dispose()

    # As a primary that became a standby.
    may_write(yes=False)
    for _ in range(4):
        made.engine.guarded_turn()
    may_write(yes=True)
    made.clock.advance(made.settings.poll_seconds)
    assert made.ended(execution_id).status is Status.TERMINATED
