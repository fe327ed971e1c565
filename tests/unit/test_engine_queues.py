"""What the engine's thread waits for: its inbox, and its alarms."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, cast

import pytest

from outrider.dispatcher import signals
from outrider.dispatcher.engine import _MANY_OPEN
from outrider.dispatcher.signals import BrokerChanged, Inbox, Look, Published, ResultArrived
from outrider.dispatcher.timers import Timers
from outrider.dispatcher.workflows.graph import TaskGraph
from outrider.messaging.messages import Verdict
from outrider.messaging.transport import Confirmation
from tests.support.engines import bench, one_stage, operation
from tests.support.scripted_agent import ScriptedAgent, succeeded
from tests.support.waiting import wait_until

CONFIRMED = Published("a.1", Confirmation.CONFIRMED)
RESULT = ResultArrived(cast("Any", None), cast("Any", None))


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


def test_a_signal_waits_for_company_until_there_is_enough_of_it() -> None:
    inbox = Inbox()
    inbox.put(RESULT)
    taken: list[list[signals.Signal]] = []
    taker = threading.Thread(
        target=lambda: taken.append(inbox.take(limit=100, timeout_seconds=60.0, company_seconds=60.0))
    )
    taker.start()
    # It waits, so what comes now is still taken with the first one.
    wait_until(lambda: inbox._filled._waiters, 10, "the reader to wait")  # type: ignore[attr-defined]
    for _ in range(signals._ENOUGH - 1):
        inbox.put(RESULT)
    taker.join(30.0)
    assert [len(each) for each in taken] == [signals._ENOUGH]


def test_a_signal_for_which_no_company_comes_is_taken_alone() -> None:
    inbox = Inbox()
    inbox.put(RESULT)
    assert inbox.take(limit=100, timeout_seconds=60.0, company_seconds=0.01) == [RESULT]


@pytest.mark.parametrize("hurries", [Look(), BrokerChanged(connected=True)])
def test_what_somebody_waits_for_does_not_wait_for_company(hurries: signals.Signal) -> None:
    inbox = Inbox()
    inbox.put(RESULT)
    inbox.put(hurries)
    taken = inbox.take(limit=1, timeout_seconds=60.0, company_seconds=60.0)
    # It is still there, and hurries no less.
    taken += inbox.take(limit=1, timeout_seconds=60.0, company_seconds=60.0)
    assert taken == [RESULT, hurries]
    inbox.put(RESULT)
    assert inbox.take(limit=2, timeout_seconds=60.0, company_seconds=0.01) == [RESULT]


def test_no_more_company_is_waited_for_than_may_be_taken() -> None:
    inbox = Inbox()
    inbox.put(RESULT)
    inbox.put(RESULT)
    assert inbox.take(limit=2, timeout_seconds=60.0, company_seconds=60.0) == [RESULT, RESULT]


def test_what_happens_waits_for_company_only_where_that_delays_nobody(tmp_path: Path) -> None:
    several = [operation(f"o{number}") for number in range(_MANY_OPEN + 1)]
    graph = TaskGraph(tasks={task.id: task for task in (*several, operation("after"))}, dependencies={"after": ("o0",)})
    with bench(tmp_path, one_stage(graph)) as made:
        agent = ScriptedAgent(made.transport, answer=lambda _task: None)
        assert made.engine._company_seconds() == 0.0
        execution_id = made.start()

        def succeeded_ones() -> list[str]:
            return [each.id for each in made.attempts(execution_id) if each.verdict is Verdict.SUCCEEDED]

        made.until(lambda: len(agent.tasks) == len(several))
        waits = [made.engine._company_seconds() > 0.0]
        for number in range(3):
            task_id = made.tasks(execution_id)[f"o{number}"].id
            agent.send(succeeded(next(task for task in agent.tasks if task.task_id == task_id)))
            made.until(lambda count=number: count < len(succeeded_ones()))
            waits.append(made.engine._company_seconds() > 0.0)
        # All are open; the first one's successor begins; the second one has none; too few are left.
        assert waits == [True, False, True, False]


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
