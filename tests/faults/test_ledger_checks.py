"""The sweep is worth as much as its checks: each finds the contradiction that it is for."""

from __future__ import annotations

import pytest

from outrider.dispatcher.store.attempts import Attempt, AttemptState
from outrider.dispatcher.store.events import Event
from outrider.messaging.messages import Verdict
from tests.support.ledger import Line, broken_promises, wrong_log_lines

RAN = [Line("begin", "t.1"), Line("end", "t.1")]


def attempt(name: str, verdict: Verdict | None) -> Attempt:
    task, _, number = name.rpartition(".")
    return Attempt(
        id=name,
        task_id=task,
        execution_id="e",
        number=int(number),
        agent_id="central",
        token_hash="",
        state=AttemptState.SENT if verdict is None else AttemptState.ENDED,
        verdict=verdict,
        applied=True,
        created_at=0.0,
    )


def line(sequence: int, message: str) -> Event:
    return Event(message=message, happened_at=0.0, level="info", attempt_id="t.1", sequence=sequence)


def test_a_run_that_agrees_with_its_verdicts_breaks_nothing() -> None:
    recorded = [
        attempt("t.1", Verdict.FAILED),
        attempt("t.2", Verdict.SUCCEEDED),
        attempt("t.3", Verdict.NEVER_STARTED),
    ]
    assert broken_promises([*RAN, Line("begin", "t.2"), Line("end", "t.2")], recorded) == []


@pytest.mark.parametrize(
    ("lines", "recorded", "found"),
    [
        ([*RAN, *RAN], [attempt("t.1", Verdict.FAILED)], "ran 2 times"),
        ([], [attempt("t.1", Verdict.SUCCEEDED)], "reports success; it began 0"),
        (RAN[:1], [attempt("t.1", Verdict.SUCCEEDED)], "ended 0 times"),
        (RAN, [attempt("t.1", Verdict.NEVER_STARTED)], "reported never started"),
        (RAN, [attempt("t.1", None)], "has no verdict"),
        (RAN, [], "no attempt of this id is recorded"),
        (
            [RAN[0], Line("begin", "t.2"), Line("end", "t.2"), RAN[1]],
            [attempt("t.1", Verdict.FAILED), attempt("t.2", Verdict.SUCCEEDED)],
            "t.2 began before t.1 had ended",
        ),
    ],
)
def test_a_contradiction_is_found(lines: list[Line], recorded: list[Attempt], found: str) -> None:
    (only,) = broken_promises(lines, recorded)
    assert found in only


def test_log_lines_that_are_lost_doubled_or_swapped_are_found() -> None:
    recorded = [attempt("t.1", Verdict.SUCCEEDED)]
    before, after = "before 0 of t.1", "after 0 of t.1"
    assert wrong_log_lines([line(1, before), line(2, after)], recorded, lines=1) == []
    for events in (
        [line(1, before)],
        [line(1, before), line(2, before), line(3, after)],
        [line(1, after), line(2, before)],
    ):
        assert wrong_log_lines(events, recorded, lines=1)
