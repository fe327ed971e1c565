"""The ecosystem's own command line, unmodified, in a virtual environment of its own that is kept between runs."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VERSION = "7.0.5"
FOLDER = ROOT / ".ci" / "cache" / f"cfy-{VERSION}"
PYTHON = (3, 11)


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    output: str


def installed() -> Path:
    """Return the command; installs it at the first call, and skips the test where that is impossible."""
    command = FOLDER / "bin" / "cfy"
    if command.exists():
        return command
    if sys.version_info[:2] != PYTHON:
        pytest.skip(f"cfy {VERSION} needs Python 3.11 (its dependencies end there); this is {sys.version.split()[0]}")
    subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True, timeout=120)
    pip = [str(FOLDER / "bin" / "pip"), "install", "--quiet", f"cloudify=={VERSION}", "setuptools<81"]
    if subprocess.run(pip, check=False, timeout=600).returncode:
        pytest.skip(f"cloudify=={VERSION} cannot be installed from the configured package index")
    return command


@dataclass(frozen=True)
class Cfy:
    """The command with a state of its own."""

    command: Path
    folder: Path

    def run(self, *arguments: str, timeout: float = 120) -> Outcome:
        """Run it; output and errors together, without the deprecation notes of its dependencies."""
        environment = {**os.environ, "CFY_WORKDIR": str(self.folder), "PYTHONWARNINGS": "ignore", "COLUMNS": "400"}
        done = subprocess.run(
            [str(self.command), *arguments],
            env=environment,
            cwd=self.folder,
            timeout=timeout,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Outcome(done.returncode, done.stdout)

    def __call__(self, *arguments: str) -> str:
        """Run it and return what it printed; it has to succeed."""
        outcome = self.run(*arguments)
        assert outcome.code == 0, f"cfy {' '.join(arguments)}: exit code {outcome.code}\n{outcome.output}"
        return outcome.output

    def fails(self, *arguments: str) -> str:
        """Run it and return what it printed; it has to fail."""
        outcome = self.run(*arguments)
        assert outcome.code != 0, f"cfy {' '.join(arguments)} succeeded\n{outcome.output}"
        return outcome.output
