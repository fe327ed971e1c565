"""Promises 1 to 4: whoever is killed, and whenever, no attempt is lost, runs twice, or overlaps another of its task.

Every operation writes into a ledger when it begins and ends; afterwards the ledger is compared with the verdicts.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from outrider.dispatcher.store.attempts import AttemptState
from outrider.dispatcher.store.executions import Status
from tests.faults.cases import SIZE, SLOTS, Case, Moment, Victim, cases
from tests.faults.conftest import OpenInstallation
from tests.support.ledger import Ledger, broken_promises, wrong_log_lines
from tests.support.processes import ServiceProcess
from tests.support.stack import CENTRAL, Installation
from tests.support.waiting import wait_until

PATIENCE_SECONDS = 90.0


class Scene:
    """An installation, an install under way, and a victim."""

    def __init__(self, case: Case, installation: Installation, ledger: Ledger) -> None:
        self.case, self.installation, self.ledger = case, installation, ledger
        self.dispatcher = installation.add_dispatcher()
        self.agent = installation.add_agent()
        self.execution_id = ""

    def prepare(self) -> None:
        """Make the deployment, and have the plugin installed and warm."""
        client = self.installation.client
        self.installation.deploy(self.ledger.blueprint())
        parameters = {"operation": "test.look", "node_ids": ["unit-0"]}
        started = client.start("execute_operation", "ledger", parameters)
        assert self.installation.ended(started.id, within_seconds=PATIENCE_SECONDS).status is Status.TERMINATED

    def start(self) -> None:
        """Start the install."""
        self.execution_id = self.installation.client.start("install", "ledger").id

    def until_sent(self) -> None:
        """Return once all operations that wait for nothing are in the agent's queue."""
        wait_until(self._sent, PATIENCE_SECONDS, "the first operations to be sent")

    def until_held(self) -> None:
        """Return once the held operations occupy all slots."""
        wait_until(lambda: self.ledger.held() == SLOTS, PATIENCE_SECONDS, "the held operations to run")

    def until_ended(self, count: int) -> None:
        """Return once so many operations have ended."""
        wait_until(lambda: self.ledger.count("end") >= count, PATIENCE_SECONDS, f"{count} operations to end")

    def until_confirmed(self, count: int) -> None:
        """Return once the broker has so many results."""
        wait_until(lambda: self._confirmed() >= count, PATIENCE_SECONDS, f"the broker to have {count} results")

    def kill(self) -> None:
        """Let the victim die; what was paused is woken by `revive`."""
        {
            Victim.AGENT: self.agent.kill,
            Victim.DISPATCHER: self.dispatcher.kill,
            Victim.BROKER: self.installation.vhost.node.kill,
            Victim.RUNNER: self._kill_runners,
        }[self.case.victim]()

    def revive(self, paused: ServiceProcess | None = None) -> None:
        """Start the victim again, or let another one take its place; wake whoever was paused."""
        victim = self.case.victim
        if victim is Victim.BROKER:
            self.installation.vhost.node.start()
        elif victim is Victim.DISPATCHER and self.case.adopted:
            self.dispatcher = self.installation.add_dispatcher()
        elif victim is Victim.DISPATCHER:
            self.dispatcher.start()
        if paused is not None and paused.running:
            paused.wake()
        if victim is Victim.AGENT:
            self.installation.start_agent(self.agent)

    def _kill_runners(self) -> None:
        runners = self.installation.runners()
        assert runners, "there is no runner to be killed"
        for runner in runners:
            runner.kill()

    def _sent(self) -> bool:
        sent = [each.state is AttemptState.SENT for each in self.installation.attempts(self.execution_id)]
        return len(sent) == SIZE // 10 and all(sent)

    def _confirmed(self) -> int:
        journal = self.installation.folder / CENTRAL / "journal.db"
        with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM attempts WHERE state = 'done'").fetchone()[0])


def before(scene: Scene) -> None:
    """The victim dies while operations are in the agent's queue; the agent is paused, so that none begins."""
    scene.agent.pause()
    scene.start()
    scene.until_sent()
    scene.kill()
    scene.revive(paused=scene.agent)


def during(scene: Scene) -> None:
    """The victim dies while operations run."""
    scene.ledger.hold(scene.case.held)
    scene.start()
    scene.until_held()
    for death in range(scene.case.deaths):
        if death and scene.case.victim is Victim.RUNNER:
            break  # there is no second one before another operation starts
        scene.kill()
        if scene.case.ends_meanwhile:
            scene.ledger.release()
        scene.revive()
    scene.ledger.release()


def after(scene: Scene) -> None:
    """The victim dies when operations have ended, and their results are on the agent's disk or in the broker."""
    reporting = scene.case.victim in (Victim.AGENT, Victim.RUNNER)
    paused = scene.agent if reporting else scene.dispatcher
    scene.ledger.hold(scene.case.held)
    scene.start()
    scene.until_held()
    ended = scene.ledger.count("end")
    paused.pause()
    scene.ledger.release()
    scene.until_ended(ended + SLOTS)
    if not reporting:
        scene.until_confirmed(ended + SLOTS)
    scene.kill()
    scene.revive(paused=paused)


MOMENTS = {Moment.BEFORE: before, Moment.DURING: during, Moment.AFTER: after}


@pytest.fixture
def scene(request: pytest.FixtureRequest, tmp_path: Path, open_installation: OpenInstallation) -> Scene:
    case: Case = request.param
    return Scene(case, open_installation(slots=SLOTS), Ledger(tmp_path / "ledger", SIZE, case.failures))


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("scene", [pytest.param(case, id=case.name) for case in cases()], indirect=True)
def test_a_kill_loses_nothing_doubles_nothing_and_the_install_finishes(scene: Scene) -> None:
    scene.prepare()
    MOMENTS[scene.case.moment](scene)
    installation, bound = scene.installation, scene.installation.times.bound_seconds
    # A dispatcher that was started again may not have come so far yet.
    told = f"within {bound:g} s"
    wait_until(lambda: told in scene.dispatcher.log.read_text(), 60, "the dispatcher to tell its bound")
    ended = installation.ended(scene.execution_id, within_seconds=bound)
    recorded = installation.attempts(scene.execution_id)
    assert broken_promises(scene.ledger.lines(), recorded) == []
    # None of these deaths touches an operation's own process, so there is no reason for any doubt.
    assert (ended.status, ended.error) == (Status.TERMINATED, None)
    assert len({each.task_id for each in recorded}) == SIZE
    wait_until(
        lambda: not wrong_log_lines(installation.events(scene.execution_id), recorded),
        PATIENCE_SECONDS,
        "every log line, once and in order",
    )
    numbers = sorted(each["number"] for each in installation.properties("ledger").values())
    assert numbers == list(range(SIZE))
