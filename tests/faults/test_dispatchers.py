"""Promise 4: a dispatcher that dies is replaced; one that only slept finds out, and writes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from outrider.dispatcher.store.executions import Status
from tests.faults.conftest import OpenInstallation
from tests.support import postgres
from tests.support.ledger import Ledger, broken_promises, wrong_log_lines
from tests.support.waiting import wait_until

SIZE, SLOTS = 20, 3
EXECUTIONS = 20
PATIENCE_SECONDS = 90.0


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str | None:
    """The store; None is the SQLite file in the home folder."""
    return postgres.new_database() if request.param == "postgresql" else None


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_dispatcher_that_wakes_up_after_its_execution_was_adopted_changes_nothing(
    open_installation: OpenInstallation, tmp_path: Path, database_url: str | None
) -> None:
    installation = open_installation(slots=SLOTS, database_url=database_url)
    ledger = Ledger(tmp_path / "ledger", SIZE, {1: 1, 12: 1})
    installation.deploy(ledger.blueprint())
    sleeper = installation.add_dispatcher()
    installation.add_agent()
    ledger.hold(range(2, 2 + SLOTS))
    execution_id = installation.client.start("install", "ledger").id
    wait_until(lambda: ledger.held() == SLOTS, PATIENCE_SECONDS, "the held operations to run")
    first_owner = installation.execution(execution_id).owner

    installation.pause_between_writes(sleeper)
    installation.add_dispatcher()
    wait_until(
        lambda: installation.execution(execution_id).owner != first_owner, PATIENCE_SECONDS, "the other one to adopt it"
    )
    adopted = installation.execution(execution_id)
    ended = ledger.count("end")
    ledger.release()
    wait_until(lambda: ledger.count("end") >= ended + SLOTS, PATIENCE_SECONDS, "the held operations to end")
    sleeper.wake()

    finished = installation.ended(execution_id, within_seconds=installation.times.bound_seconds)
    recorded = installation.attempts(execution_id)
    assert (finished.status, finished.owner_epoch) == (Status.TERMINATED, adopted.owner_epoch)
    assert broken_promises(ledger.lines(), recorded) == []
    wait_until(
        lambda: not wrong_log_lines(installation.events(execution_id), recorded), PATIENCE_SECONDS, "every log line"
    )
    wait_until(lambda: "adopted by another dispatcher" in sleeper.log.read_text(), PATIENCE_SECONDS, "it to find out")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_executions_of_a_killed_dispatcher_are_finished_by_another_and_nothing_runs_twice(
    open_installation: OpenInstallation, tmp_path: Path, database_url: str | None
) -> None:
    installation = open_installation(slots=SLOTS, database_url=database_url)
    ledger = Ledger(tmp_path / "ledger", 2)
    installation.client.create_blueprint("ledger", ledger.blueprint())
    for number in range(EXECUTIONS):
        installation.client.create_deployment(f"app-{number}", "ledger")
    victim = installation.add_dispatcher()
    installation.add_agent()
    ledger.hold([0])
    started = [installation.client.start("install", f"app-{number}").id for number in range(EXECUTIONS)]

    def owners(*, running: bool) -> set[str | None]:
        found = [installation.execution(each) for each in started]
        return {each.owner for each in found if not running or each.status is Status.STARTED}

    wait_until(
        lambda: (
            ledger.held() == SLOTS and all(installation.execution(each).status is Status.STARTED for each in started)
        ),
        PATIENCE_SECONDS,
        "all executions to run, with as many operations as the agent has slots",
    )
    first_owner = owners(running=True)
    assert len(first_owner) == 1
    installation.add_dispatcher()

    victim.kill()
    wait_until(lambda: not first_owner & owners(running=False), PATIENCE_SECONDS, "the other one to adopt them all")
    ledger.release()

    ended = [installation.ended(each, within_seconds=installation.times.bound_seconds) for each in started]
    assert {each.status for each in ended} == {Status.TERMINATED}
    recorded = [attempt for each in started for attempt in installation.attempts(each)]
    assert broken_promises(ledger.lines(), recorded) == []
    assert len({each.task_id for each in recorded}) == len(recorded), "no task needed a second attempt"
    assert ledger.count("begin") == ledger.count("end") == 2 * EXECUTIONS
