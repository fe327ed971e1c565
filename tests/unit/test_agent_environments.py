"""An agent removes environments that nothing used for long, and none that something lives in."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from outrider.agent.environments import Environments, PluginEnvironment
from outrider.plugins.wagons import Environment, EnvironmentStore
from outrider.plugins.wagons.environment import MARKER
from tests.support.wagons import WagonMaker, sha256_of, wheel_bytes

MONTH = 30 * 86400.0


def installed(state_dir: Path, version: str, *, idle_seconds: float) -> Environment:
    wheel = wheel_bytes("demo", version)
    maker = WagonMaker(name="demo", version=version, wheels={f"demo-{version}-py3-none-any.whl": wheel})
    wagon = maker.write(state_dir.parent)
    environment = EnvironmentStore(state_dir).ensure("demo", version, wagon, sha256=sha256_of(wagon))
    then = time.time() - idle_seconds
    os.utime(environment.path / MARKER, (then, then))
    return environment


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_only_what_was_not_used_for_so_long_goes(state_dir: Path) -> None:
    old, young = (
        installed(state_dir, "1.0", idle_seconds=MONTH + 60),
        installed(state_dir, "2.0", idle_seconds=MONTH - 60),
    )
    environments = Environments(state_dir)
    assert environments.collect(unused_seconds=MONTH) == (old.path,)
    assert [each.path for each in EnvironmentStore(state_dir).list()] == [young.path]
    assert environments.collect(unused_seconds=MONTH) == ()


def test_starting_a_runner_counts_as_use(state_dir: Path) -> None:
    old = installed(state_dir, "1.0", idle_seconds=2 * MONTH)
    environments = Environments(state_dir)
    environments.used(PluginEnvironment("demo", "1.0", str(old.python), str(old.path), builtin=False))
    assert environments.collect(unused_seconds=MONTH) == ()


def test_an_environment_that_a_process_lives_in_stays(state_dir: Path) -> None:
    old = installed(state_dir, "1.0", idle_seconds=2 * MONTH)
    with subprocess.Popen([str(old.python), "-c", "input()"], stdin=subprocess.PIPE) as runner:
        assert Environments(state_dir).collect(unused_seconds=MONTH) == ()
        runner.communicate(b"\n", timeout=60)
    assert Environments(state_dir).collect(unused_seconds=MONTH) == (old.path,)


def test_an_agent_without_plugins_has_nothing_to_collect(state_dir: Path) -> None:
    assert Environments(state_dir).collect(unused_seconds=0) == ()
    assert not state_dir.exists()
