"""Releases of this project, built from the history: what runs at the other end of a connection may be older."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]


def commits() -> dict[str, str]:
    """Return version → commit."""
    found: dict[str, str] = tomllib.loads((ROOT / "tests" / "releases.toml").read_text(encoding="utf-8"))["commits"]
    return found


@functools.cache
def installed(version: str) -> Path:
    """Build and install a release once per run; returns a folder for PYTHONPATH. Skips where the history is not."""
    commit = commits()[version]
    folder = Path(tempfile.mkdtemp(prefix=f"outrider-{version}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    archive, source, target = folder / "source.tar", folder / "source", folder / "installed"
    found = subprocess.run(
        ["git", "-C", str(ROOT), "archive", "--output", str(archive), commit],
        check=False,
        capture_output=True,
        text=True,
    )
    if found.returncode:
        pytest.skip(f"release {version} cannot be taken from the history: {found.stderr.strip()}")
    shutil.unpack_archive(archive, source, filter="data")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--target", str(target), str(source)], check=True, timeout=120)
    return target
