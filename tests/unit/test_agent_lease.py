"""Nothing starts unless the dispatcher surely believes this agent alive."""

from __future__ import annotations

from pathlib import Path

from outrider.agent.lease import Lease


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_lease_is_valid_for_half_its_time_after_a_confirmed_heartbeat(tmp_path: Path) -> None:
    clock = Clock()
    lease = Lease(lease_seconds=100, note=tmp_path / "lease", clock=clock)
    assert not lease.valid
    lease.confirm(clock.now)
    clock.now += 49
    assert lease.valid
    clock.now += 1
    assert not lease.valid


def test_a_long_silence_is_counted_and_a_short_one_is_not(tmp_path: Path) -> None:
    clock = Clock()
    lease = Lease(lease_seconds=100, note=tmp_path / "lease", clock=clock)
    lease.confirm(1000)
    lease.confirm(1040)
    assert lease.silences == 0
    lease.confirm(1090)
    assert lease.silences == 1


def test_the_next_agent_of_this_boot_goes_on_with_a_young_lease(tmp_path: Path) -> None:
    clock = Clock()
    Lease(lease_seconds=100, note=tmp_path / "lease", clock=clock).confirm(clock.now)
    clock.now += 30
    assert Lease(lease_seconds=100, note=tmp_path / "lease", clock=clock).carried_over
    clock.now += 30
    assert not Lease(lease_seconds=100, note=tmp_path / "lease", clock=clock).carried_over
