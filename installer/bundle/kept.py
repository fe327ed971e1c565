"""The bundle that blueprints' hosts get: a file that is kept, and made at first use.

Made in a process of its own: an operation's process sees only a part of Outrider's agent, and would pack that.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

from outrider.installer.bundle import Bundle
from outrider.installer.errors import BundleBuildFailed

BUILD_SECONDS = 600.0


def ensure_bundle(path: Path) -> Bundle:
    """Return the bundle of a file, which is made now if it is not there. Raises `BundleError`."""
    if not path.exists():
        try:
            _build_once(path)
        except OSError as error:
            raise BundleBuildFailed(f"{path} cannot be made: {error}", remedy=_REMEDY) from error
    return Bundle(path)


def _build_once(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Ten hosts at once shall not make it ten times.
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _build(path)


def _build(path: Path) -> None:
    command = [sys.executable, "-I", "-m", "outrider.installer.bundle", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise BundleBuildFailed(f"{path} was not made within {BUILD_SECONDS:g} s", remedy=_REMEDY) from error
    if done.returncode != 0:
        raise BundleBuildFailed(f"{path} cannot be made: {done.stderr.strip()[-600:]}", remedy=_REMEDY)


_REMEDY = "make it where there is a package index (`outrider agent bundle -o FILE`), and set agent_bundle to the file"
