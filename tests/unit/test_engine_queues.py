"""What the engine's thread waits for: its inbox, and its alarms."""

from __future__ import annotations

import pytest

from outrider.dispatcher import signals
from outrider.dispatcher.signals import BrokerChanged, Inbox, Look, Published
from outrider.dispatcher.timers import Timers
from outrider.messaging.transport import Confirmation

CONFIRMED = Published("a.1", Confirmation.CONFIRMED)


def test_a_patient_signal_lets_others_go_first() -> None:
    inbox = Inbox()
    inbox.put(CONFIRMED, patient=True)
    inbox.put(Look())
    assert inbox.take(limit=10, timeout_seconds=0.0) == [Look()]
    assert len(inbox) == 1
    assert inbox.take(limit=10, timeout_seconds=0.0) == [CONFIRMED]
    assert len(inbox) == 0


def test_a_patient_signal_waits_no_longer_than_its_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_PATIENCE_SECONDS", -1.0)
    inbox = Inbox()
    inbox.put(CONFIRMED, patient=True)
    inbox.put(Look())
    assert inbox.take(limit=10, timeout_seconds=0.0) == [Look(), CONFIRMED]


def test_a_turn_takes_no_more_signals_than_it_may_in_the_order_of_their_coming() -> None:
    inbox = Inbox()
    changes = [BrokerChanged(connected=bool(number % 2)) for number in range(5)]
    for each in changes:
        inbox.put(each)
    assert inbox.take(limit=3, timeout_seconds=60.0) == changes[:3]
    assert inbox.take(limit=3, timeout_seconds=60.0) == changes[3:]


def test_alarms_that_were_dropped_do_not_stay_in_memory() -> None:
    timers: Timers[int] = Timers()
    for number in range(20_000):
        timers.set(number, when=1000.0 + number)
        if number % 1000:
            timers.drop(number)
    assert len(timers) == 20
    assert len(timers._heap) < 2000
    assert timers.next() == 1000.0
    assert timers.due(3500.0) == [0, 1000, 2000]


def test_an_alarm_that_was_moved_is_due_at_its_new_time_only() -> None:
    timers: Timers[str] = Timers()
    timers.set("later", 10.0)
    timers.set("later", 20.0)
    timers.set("sooner", 30.0)
    timers.set("sooner", 5.0)
    assert timers.due(15.0) == ["sooner"]
    assert timers.due(40.0) == ["later"]
    assert timers.next() is None
