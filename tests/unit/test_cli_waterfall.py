"""The waterfall: where the time of each operation went, on a line each."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from outrider.cli.waterfall import Span, bar, seconds, waterfall


def rendered(spans: list[Span], width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(waterfall(spans, width=width))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def span(**fields: float) -> Span:
    return Span(operation="create", instance="web_a1", agent="central", begins=fields.pop("begins", 0.0), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0012, "1.2 ms"), (0.25, "250 ms"), (0.9996, "1.00 s"), (59.99, "59.99 s"), (125.0, "2 min 05 s")],
)
def test_durations_are_written_for_people(value: float, text: str) -> None:
    assert seconds(value) == text


def test_each_attempt_has_a_line_and_stages_are_summed() -> None:
    text = rendered([span(run=0.5, queue=0.1), span(begins=0.6, run=0.4)])
    assert text.count("web_a1") == 2
    assert "run 900 ms" in text
    assert "queue 100 ms" in text


def test_a_retry_is_named_as_one() -> None:
    assert "create (try 2)" in rendered([Span(operation="create", instance="a", agent="x", begins=0, attempt=2)])


def test_without_operations_it_says_so() -> None:
    assert "no operation ran" in rendered([])


@given(
    durations=st.lists(st.floats(0, 1000), min_size=5, max_size=5),
    begins=st.floats(0, 1000),
    more=st.floats(0, 1000),
    width=st.integers(20, 72),
)
def test_a_bar_never_leaves_its_line(durations: list[float], begins: float, more: float, width: int) -> None:
    one = Span("create", "a", "x", begins, *durations)
    line = bar(one, total=one.ends + more, width=width)
    assert len(line) <= width + 1


def test_what_ran_before_a_resume_is_summed_up_and_the_rest_drawn_from_the_resume_on() -> None:
    before = [span(begins=-60.0, run=2.0), span(begins=-50.0, run=1.0, succeeded=False)]
    text = rendered([*before, span(begins=0.5, run=1.5)])
    assert "before the resume: 2 attempts, 1 failed, 3.00 s in all; the last one ended 49.00 s earlier" in text
    assert text.count("web_a1") == 1
    assert "0 … 2.00 s" in text
    assert "run 1.50 s" in text
    assert "no operation ran since the resume" in rendered(before)


def test_what_was_under_way_at_a_resume_is_drawn_from_its_beginning_on() -> None:
    text = rendered([span(begins=-1.0, run=3.0)])
    assert "0 … 2.00 s" in text
    assert text.count("web_a1") == 1
