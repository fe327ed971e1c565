"""The agent's floor: its unit and contract tests pass on the oldest and the newest Python that hosts may have.

Each Python gets a virtualenv with the base dependencies alone, as a host has them, kept between runs by what it holds.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
from pathlib import Path

import pytest

from tests.support.pythons import require_python

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".ci" / "cache" / "floor"
#: Tests of what runs on hosts and in plugins' environments; the rest needs the manager's extras and Python 3.11.
PATTERNS = ("test_agent_*.py", "test_sdk_*.py", "test_script_*.py", "test_wagons_*.py", "test_facade_*.py")
EXTRA = ("pytest>=8", "pytest-timeout>=2.3", "hypothesis>=6.100", "setuptools>=77,<81", "wheel")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", ["3.9", "3.13"])
def test_unit_and_contract_tests_of_the_agent_pass_on(version: str) -> None:
    python = environment(require_python(version))
    files = [str(path) for pattern in PATTERNS for path in sorted((ROOT / "tests" / "unit").glob(pattern))]
    contract = [str(ROOT / "tests" / "contract" / "test_codec.py")]
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files, *contract],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]


def environment(python: str) -> str:
    """Return the interpreter of a virtualenv of `python` with the base dependencies and links to the sources."""
    content = (ROOT / "setup.py").read_bytes() + python.encode() + repr(EXTRA).encode()
    folder = CACHE / hashlib.sha256(content).hexdigest()[:16]
    interpreter = folder / "bin" / "python"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            run(python, "-m", "venv", "--clear", str(folder))
            run(str(interpreter), "-m", "pip", "install", "-q", "--disable-pip-version-check", *EXTRA, *base())
            run(str(interpreter), str(ROOT / ".ci" / "link-tree"), "--path-only")
            (folder / "ready").touch()
    return str(interpreter)


def base() -> list[str]:
    """Return the base dependencies, as setup.py has them."""
    source = (ROOT / "setup.py").read_text(encoding="utf-8")
    block = source.partition("AGENT = [")[2].partition("]\n")[0]
    namespace: dict[str, list[str]] = {}
    exec(f"AGENT = [{block}]", namespace)
    return namespace["AGENT"]


def run(*command: str) -> None:
    """Run a step of the set-up; its output is shown if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
