"""The agent's floor: its unit and contract tests pass on the oldest and the newest Python that hosts may have."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.floor import VERSIONS, floor_environment
from tests.support.pythons import require_python

ROOT = Path(__file__).resolve().parents[2]
#: Tests of what runs on hosts and in plugins' environments; the rest needs the manager's extras and Python 3.11.
PATTERNS = ("test_agent_*.py", "test_sdk_*.py", "test_script_*.py", "test_wagons_*.py", "test_facade_*.py")

Runs = dict[str, "Future[subprocess.CompletedProcess[str]]"]


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> Iterator[Runs]:
    """Version → its run, as far as this session asks for it. They run at once: neither uses more than one core."""
    items = [each for each in request.session.items if isinstance(each, pytest.Function) and each.path == request.path]
    versions = [str(each.callspec.params["version"]) for each in items]
    with ThreadPoolExecutor(len(versions)) as threads:
        yield {version: threads.submit(run, version) for version in versions}


def run(version: str) -> subprocess.CompletedProcess[str]:
    """Run the tests on a Python."""
    python = floor_environment(require_python(version))
    files = [str(path) for pattern in PATTERNS for path in sorted((ROOT / "tests" / "unit").glob(pattern))]
    contract = [str(ROOT / "tests" / "contract" / "test_codec.py")]
    return subprocess.run(
        [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *files, *contract],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", VERSIONS)
def test_unit_and_contract_tests_of_the_agent_pass_on(version: str, runs: Runs) -> None:
    done = runs[version].result()
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
