"""What a broken line left at work on a host, and what is said of an agent that does not report."""

from __future__ import annotations

import fcntl
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from outrider.installer.errors import AccessFailed, InstallerError, NoHeartbeat
from outrider.installer.onhost import actions
from outrider.installer.onhost.errors import HostError
from outrider.installer.onhost.layout import Layout, my_layout
from outrider.installer.reporting import host_is_asked
from outrider.plugins.ssh.access.errors import ConnectionLost


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = my_layout(str(tmp_path))
    made.lock.parent.mkdir(parents=True)
    return made


def collect(layout: Layout) -> dict[str, Any]:
    return actions.ACTIONS["collect"](layout, {"keep": []})


def test_an_action_waits_for_what_a_cut_installation_left_at_work(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, sleep = threading.Event(), time.sleep

    def seen(seconds: float) -> None:
        waits.set()
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", seen)
    answers: list[dict[str, Any]] = []
    with layout.lock.open("w") as left:
        fcntl.flock(left, fcntl.LOCK_EX)
        second = threading.Thread(target=lambda: answers.append(collect(layout)))
        second.start()
        assert waits.wait(30)
        assert answers == []
    second.join(30)
    assert answers == [{"removed": []}]


def test_an_action_that_waited_in_vain_says_what_to_do(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "LOCK_SECONDS", 0.0)
    with layout.lock.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(HostError, match="another installation is at work on this host") as caught:
            collect(layout)
    assert caught.value.remedy == "wait until it has ended, then run this again"


class Asked:
    """A host that answers one question."""

    def __init__(self, answer: dict[str, Any] | InstallerError) -> None:
        self.answer = answer

    def act(self, action: str) -> dict[str, Any]:
        assert action == "status"
        if isinstance(self.answer, InstallerError):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            {"state": "active", "log": "cannot log in: ACCESS_REFUSED"},
            "service is active, and its log ends:\ncannot log",
        ),
        (AccessFailed(ConnectionLost("the connection broke")), "nor can the host be asked why: the connection broke"),
    ],
)
def test_an_agent_that_does_not_report_is_told_of_with_the_words_of_its_host(
    answer: dict[str, Any] | InstallerError, said: str
) -> None:
    with pytest.raises(NoHeartbeat) as caught, host_is_asked(Asked(answer)):  # type: ignore[arg-type]
        raise NoHeartbeat("no heartbeat of it arrived", remedy="read the log")
    assert caught.value.message.startswith("no heartbeat of it arrived; ")
    assert said in caught.value.message
    assert caught.value.remedy == "read the log"
