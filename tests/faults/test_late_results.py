"""Promises 1 to 3: the first verdict decides; what comes after it is kept, and nothing is made twice because of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from outrider.dispatcher.store.executions import Status
from outrider.messaging.messages import Verdict
from tests.faults.cases import WHOLE
from tests.faults.conftest import OpenInstallation
from tests.support.ledger import Ledger, broken_promises
from tests.support.processes import ServiceProcess
from tests.support.stack import Installation, Times
from tests.support.waiting import wait_until

PATIENCE_SECONDS = 60.0
SHORT = Times(start_window_seconds=8.0, lease_seconds=12.0, grace_seconds=2.0, heartbeat_seconds=0.5)


class Silence:
    """An agent that falls silent while its only operation runs, until the dispatcher gives that attempt up."""

    def __init__(self, installation: Installation, ledger: Ledger) -> None:
        self.installation, self.ledger = installation, ledger
        installation.deploy(ledger.blueprint())
        installation.add_dispatcher()
        self.agent: ServiceProcess = installation.add_agent()
        # The plugin is installed ahead, so that no start window ends meanwhile.
        look = {"operation": "test.look", "node_ids": ["unit-0"]}
        first = installation.client.start("execute_operation", "ledger", look)
        assert installation.ended(first.id, within_seconds=PATIENCE_SECONDS).status is Status.TERMINATED
        ledger.hold([0])
        self.execution_id = installation.client.start("install", "ledger").id
        wait_until(lambda: ledger.held() == 1, PATIENCE_SECONDS, "the operation to run")
        self.agent.pause()
        # Before a person is asked, the agent is: whether the plugin allows another try. It is silent to that, too.
        ended = installation.ended(self.execution_id, within_seconds=2 * SHORT.bound_seconds + PATIENCE_SECONDS)
        assert ended.status is Status.FAILED
        assert "may have run" in str(ended.error)
        assert self.verdicts()[0] is Verdict.MAY_HAVE_RUN

    def verdicts(self) -> list[Verdict | None]:
        """Return the verdicts of the attempts, the first attempt's first."""
        return [each.verdict for each in self.installation.attempts(self.execution_id)]

    def let_it_end(self) -> None:
        """Let the operation end; its agent is still silent."""
        self.ledger.release()
        wait_until(lambda: self.ledger.count("end") == 1, PATIENCE_SECONDS, "the operation to end")

    def finish(self) -> None:
        """Wait for the execution's good end, and compare the ledger with the verdicts."""
        ended = self.installation.ended(self.execution_id, within_seconds=SHORT.bound_seconds + PATIENCE_SECONDS)
        assert (ended.status, ended.error) == (Status.TERMINATED, None)
        assert broken_promises(self.ledger.lines(), self.installation.attempts(self.execution_id)) == []


@pytest.fixture
def silence(open_installation: OpenInstallation, tmp_path: Path) -> Silence:
    return Silence(open_installation(times=SHORT, slots=2), Ledger(tmp_path / "ledger", 2))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_late_result_takes_the_place_of_a_doubtful_verdict_and_is_not_made_again(silence: Silence) -> None:
    silence.let_it_end()
    silence.agent.wake()
    wait_until(lambda: silence.verdicts()[0] is Verdict.SUCCEEDED, PATIENCE_SECONDS, "the late result")
    silence.installation.client.resume(silence.execution_id)
    silence.finish()
    assert silence.ledger.count("begin") == 2


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "ends_first", [False, True] if WHOLE else [False], ids=lambda ends: "ended" if ends else "runs"
)
def test_a_newer_attempt_never_runs_beside_the_older_one(silence: Silence, ends_first: bool) -> None:
    if ends_first:
        silence.let_it_end()
    known = len(silence.verdicts())
    silence.installation.client.resume(silence.execution_id, force=True)
    wait_until(lambda: len(silence.verdicts()) > known, PATIENCE_SECONDS, "another attempt to be sent")
    silence.agent.wake()
    if not ends_first:
        # The older one is ended to make room; only the newer one, held as well, is left.
        wait_until(lambda: silence.ledger.count("begin") == 2, PATIENCE_SECONDS, "the second attempt to begin")
        silence.ledger.release()
    silence.finish()
    if not ends_first:
        # Ended before the newer one began, the older one cannot have written its end.
        assert (silence.ledger.count("begin"), silence.ledger.count("end")) == (3, 2)
