"""A runner that meets a further module of its plugin learns it, and goes on forking; groups are never used twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from outrider.agent.runner import cgroups
from outrider.agent.runner.protocol import STATE_NAME
from outrider.messaging.messages import FilesRef, PluginRef, Verdict, WagonRef
from tests.support.agents import Stage, make_task
from tests.support.wagons import WagonMaker, sha256_of, wheel_bytes

#: Tells whether the operation's process was forked by the runner, or is a fresh interpreter.
CODE = b"def how(**_):\n    return open('/proc/self/cmdline').read().split('\\0')[2]\n"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path / "state")
    made.start_agent()
    yield made
    made.close()


def test_operations_of_a_second_module_are_forked_too(stage: Stage, tmp_path: Path) -> None:
    wheel = wheel_bytes("demo", "1.0", files={"demo_one.py": CODE, "demo_two.py": CODE})
    wagon = WagonMaker(name="demo", version="1.0", wheels={"demo-1.0-py3-none-any.whl": wheel}).write(tmp_path)
    sha256 = sha256_of(wagon)
    place = tmp_path / "files" / sha256[:2] / sha256
    place.parent.mkdir(parents=True)
    wagon.rename(place)
    plugin = PluginRef("demo", "1.0", wagons=(WagonRef(wagon.name, sha256, place.stat().st_size),))
    files = FilesRef((tmp_path / "files").as_uri())
    how = []
    for module in ("demo_one", "demo_two", "demo_two", "demo_one"):
        result = stage.dispatcher.run(make_task(f"{module}.how", plugin=plugin, files=files), timeout_seconds=60)
        assert result.verdict is Verdict.SUCCEEDED, result.error
        how.append(result.value)
    assert how == ["runner"] * 4
    (runner,) = (tmp_path / "state" / "runners").iterdir()
    assert json.loads((runner / STATE_NAME).read_text())["objection"] is None


def test_a_runner_that_begins_again_uses_no_group_of_the_former_one() -> None:
    first, second = cgroups.prefix_of("one"), cgroups.prefix_of("one")
    assert first != second
    assert first.startswith("outrider-one-")
