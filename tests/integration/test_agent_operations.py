"""What becomes of operations that behave and misbehave, through the embedded transport and real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from outrider.messaging.messages import Verdict
from tests.support.agents import SUPPORT, Stage, make_task


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    made = Stage(tmp_path / "state")
    made.start_agent()
    yield made
    made.close()


def test_an_operation_returns_its_value(stage: Stage) -> None:
    result = stage.dispatcher.run(make_task("succeed", inputs={"value": {"a": [1, 2]}}))
    assert (result.verdict, result.value, result.error) == (Verdict.SUCCEEDED, {"a": [1, 2]}, None)
