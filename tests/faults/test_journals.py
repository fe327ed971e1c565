"""Promises 1 and 2 against a journal that is lost, restored from an old copy, or used by two agents at once."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from outrider.dispatcher.store.executions import Status
from outrider.messaging.messages import Verdict
from tests.faults.conftest import OpenInstallation
from tests.support.ledger import Ledger, broken_promises
from tests.support.processes import ServiceProcess
from tests.support.stack import CENTRAL, Installation
from tests.support.waiting import wait_until

PATIENCE_SECONDS = 90.0


class Host:
    """An installation whose agent's journal is tampered with."""

    def __init__(self, installation: Installation, ledger: Ledger) -> None:
        self.installation, self.ledger = installation, ledger
        self.journal = installation.folder / CENTRAL / "journal.db"
        installation.deploy(ledger.blueprint())
        self.dispatcher = installation.add_dispatcher()
        self.agent: ServiceProcess = installation.add_agent()
        self.execution_id = ""

    def look(self) -> None:
        """Run an operation that leaves no line, to its end: the journal goes on."""
        parameters = {"operation": "test.look", "node_ids": ["unit-0"]}
        started = self.installation.client.start("execute_operation", "ledger", parameters)
        assert self.installation.ended(started.id, within_seconds=PATIENCE_SECONDS).status is Status.TERMINATED

    def until_held(self) -> None:
        """Start the install, and return while its first operation runs."""
        self.ledger.hold([0])
        self.execution_id = self.installation.client.start("install", "ledger").id
        wait_until(lambda: self.ledger.held() == 1, PATIENCE_SECONDS, "the operation to run")

    def given_up(self) -> bool:
        """Return whether the first attempt has the verdict of one that nobody knows of."""
        return self.installation.attempts(self.execution_id)[0].verdict is Verdict.MAY_HAVE_RUN

    def copy(self) -> Path:
        """Return a copy of the journal as it is now."""
        target = self.installation.folder / "copy.db"
        with closing(sqlite3.connect(self.journal)) as source, closing(sqlite3.connect(target)) as copied:
            source.backup(copied)
        return target

    def until_told(self, more_than: Path) -> None:
        """Return once a heartbeat has told that the journal is ahead of a copy; before, nobody could notice."""
        with closing(sqlite3.connect(more_than)) as connection:
            (text,) = connection.execute("SELECT value FROM meta WHERE name = 'sequence'").fetchone()
        wait_until(lambda: self.installation.agent().journal_sequence > int(text), PATIENCE_SECONDS, "a heartbeat")

    def remove(self) -> None:
        """Lose the journal."""
        for path in self.journal.parent.glob("journal.db*"):
            path.unlink()

    def decide_and_finish(self) -> None:
        """Decide to try again what may have run; nothing of it may have run beside the new attempt."""
        wait_until(
            lambda: self.installation.execution(self.execution_id).ended, PATIENCE_SECONDS, "the doubt to stop it"
        )
        self.ledger.release()
        if self.installation.execution(self.execution_id).status is Status.FAILED:
            self.installation.client.resume(self.execution_id, force=True)
        bound = self.installation.times.bound_seconds
        assert self.installation.ended(self.execution_id, within_seconds=bound).status is Status.TERMINATED
        assert broken_promises(self.ledger.lines(), self.installation.attempts(self.execution_id)) == []

    def fences(self, reason: str) -> bool:
        """Return whether the dispatcher said why it does not trust the journal."""
        return reason in self.dispatcher.log.read_text()


@pytest.fixture
def host(open_installation: OpenInstallation, tmp_path: Path) -> Host:
    return Host(open_installation(slots=1), Ledger(tmp_path / "ledger", 4))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_runs_without_a_journal_that_knows_it_is_ended_before_the_next_attempt(host: Host) -> None:
    host.until_held()
    host.agent.kill()
    host.remove()
    host.installation.start_agent(host.agent)
    wait_until(host.given_up, PATIENCE_SECONDS, "the verdict of an attempt that the new journal does not know")
    assert host.fences("began a new journal")
    host.decide_and_finish()
    # The first attempt was ended before the release, so only the others wrote their end.
    assert (host.ledger.count("begin"), host.ledger.count("end")) == (5, 4)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_journal_restored_from_an_old_copy_is_noticed_and_begins_anew(host: Host) -> None:
    host.look()
    copy = host.copy()
    host.look()
    host.until_held()
    host.until_told(more_than=copy)
    host.agent.kill()
    host.remove()
    shutil.copy(copy, host.journal)
    host.installation.start_agent(host.agent)
    wait_until(lambda: host.fences("restored from an old copy"), PATIENCE_SECONDS, "the dispatcher to notice")
    wait_until(host.given_up, PATIENCE_SECONDS, "the verdict of an attempt that the old journal does not know")
    wait_until(lambda: host.installation.agent().fenced is None, PATIENCE_SECONDS, "the new epoch")
    host.decide_and_finish()
    assert (host.ledger.count("begin"), host.ledger.count("end")) == (5, 4)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_agents_with_one_journal_are_noticed_and_one_of_them_can_go_on(host: Host) -> None:
    host.look()
    twin = host.installation.folder / "twin"
    twin.mkdir(mode=0o700)
    shutil.copy(host.copy(), twin / "journal.db")
    second = host.installation.add_agent("twin", state_dir=twin)
    wait_until(lambda: host.fences("two agents run under the id"), PATIENCE_SECONDS, "the dispatcher to notice")
    host.ledger.hold([0])
    host.execution_id = host.installation.client.start("install", "ledger").id
    second.terminate()
    wait_until(lambda: host.installation.agent().fenced is None, PATIENCE_SECONDS, "the one that is left to be trusted")
    wait_until(
        lambda: host.ledger.held() >= 1 or host.installation.execution(host.execution_id).ended,
        PATIENCE_SECONDS,
        "the install to go on",
    )
    host.ledger.release()
    host.decide_and_finish()
