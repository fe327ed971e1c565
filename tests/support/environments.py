"""Virtual environments that tests use: one builder, kept below ``.ci/cache`` by what they hold.

Tests ask for what they need; `prepared.py` has most of it made before the tests begin, several at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".ci" / "cache" / "environments"
LIMIT_SECONDS = 600


class EnvironmentFailed(Exception):
    """An environment could not be made; the text is what the failed command printed."""


def environment(
    requirements: Sequence[str],
    *,
    python: str = sys.executable,
    without: Sequence[str] = (),
    with_sources: bool = False,
) -> Path:
    """Return the interpreter of an environment of `python` that holds the requirements; made at the first call.

    `without`: distributions that are removed again. `with_sources`: `outrider` can be imported, from this checkout.
    """
    content = repr((python, sorted(requirements), sorted(without), with_sources))
    folder = CACHE / hashlib.sha256(content.encode()).hexdigest()[:16]
    interpreter, ready = folder / "bin" / "python", folder / "ready"
    CACHE.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            pip = [str(interpreter), "-m", "pip", "--disable-pip-version-check"]
            _run(python, "-m", "venv", "--clear", str(folder))
            # What is imported gets compiled then; most of it never is.
            _run(*pip, "install", "-q", "--no-compile", *requirements)
            if without:
                _run(*pip, "uninstall", "-q", "-y", *without)
            if with_sources:
                _run(str(interpreter), str(ROOT / ".ci" / "link-tree"), "--path-only")
            ready.touch()
    return interpreter


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    if done.returncode != 0:
        raise EnvironmentFailed(f"{' '.join(command)}: {done.stdout}{done.stderr}")
