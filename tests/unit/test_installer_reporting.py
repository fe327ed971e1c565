"""An agent that was left as it is has to be heard of; one that is silent is started anew, once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from outrider.installer import AgentSpec, BrokerAccess
from outrider.installer.bundle import HostBundle, Target
from outrider.installer.errors import NoHeartbeat
from outrider.installer.heartbeats import Accept
from outrider.installer.plan import Plan
from outrider.installer.reporting import SILENT_SECONDS, await_report
from outrider.installer.ssh.session import HostSession
from outrider.messaging.messages import AgentHeartbeat

SPEC = AgentSpec("a", BrokerAccess(urls=()))
PLAN = Plan("0.2.0", HostBundle("0.2.0", Target("3.11", "linux-x86_64"), b"", "a" * 64), {})
OLD = AgentHeartbeat("a", "machine", "boot", "process 1", "0.2.0", "3.11", "linux", 1.0, 5.0, "epoch", 1)
NEW = replace(OLD, process_id="process 2")


class Host:
    """Notes what is asked of it; its service can be started at any time."""

    def __init__(self) -> None:
        self.starts: list[bool] = []

    def act(self, action: str, request: dict[str, Any] | None = None, **_: Any) -> dict[str, Any]:
        if action == "status":
            return {"state": "active", "log": "nothing to say"}
        assert request is not None
        self.starts.append(request["restart"])
        return {"service": "systemd", "started": True}


class Heard:
    """Hears, of one wait after the other, one heartbeat or none."""

    def __init__(self, *beats: AgentHeartbeat | None) -> None:
        self.beats = list(beats)
        self.limits: list[float] = []

    def latest(self, agent_id: str) -> AgentHeartbeat | None:
        raise AssertionError(f"{agent_id}: what was known is asked for before the start")

    def wait(self, agent_id: str, accept: Accept, timeout_seconds: float, *, known: Any = None) -> AgentHeartbeat:
        self.limits.append(timeout_seconds)
        beat = self.beats.pop(0)
        if beat is None or beat is known or not accept(beat):
            raise NoHeartbeat(f"no heartbeat of {agent_id}")
        return beat


def awaited(host: Host, heard: Heard, *, started: bool, spec: AgentSpec = SPEC) -> tuple[AgentHeartbeat, bool]:
    return await_report(cast("HostSession", host), spec, PLAN, heard, started=started, known=OLD, timeout_seconds=60.0)


def test_an_agent_that_goes_on_reporting_is_left_as_it_is() -> None:
    host, again = Host(), replace(OLD, journal_sequence=2)
    assert awaited(host, Heard(again), started=False) == (again, False)
    assert host.starts == []


@pytest.mark.parametrize("said", [None, replace(OLD, version="0.1.0")], ids=["silent", "another version"])
def test_one_that_does_not_report_as_it_must_is_started_anew(said: AgentHeartbeat | None) -> None:
    host, heard = Host(), Heard(said, NEW)
    assert awaited(host, heard, started=False) == (NEW, True)
    assert host.starts == [True]
    assert heard.limits == [SILENT_SECONDS, 60.0]


def test_one_that_reports_seldom_is_given_its_time() -> None:
    heard = Heard(None, NEW)
    awaited(Host(), heard, started=False, spec=replace(SPEC, settings={"heartbeat_seconds": 45.0}))
    assert heard.limits[0] == 135.0


@pytest.mark.parametrize("started", [True, False])
def test_one_that_was_started_and_is_not_heard_of_is_told_of(*, started: bool) -> None:
    host = Host()
    # The last word of the process before it does not count.
    heard = Heard(replace(OLD)) if started else Heard(None, replace(OLD))
    with pytest.raises(NoHeartbeat, match="nothing to say"):
        awaited(host, heard, started=started)
    assert host.starts == ([] if started else [True])
