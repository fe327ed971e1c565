"""Finds Python interpreters of given versions: on PATH, and where pyenv keeps them."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Optional

import pytest


@cache
def find_python(version: str) -> Optional[str]:
    """Return the path of a working interpreter of ``version`` (``3.9``), or None."""
    name = f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(name), *sorted(map(str, pyenv.glob(f"{version}.*/bin/{name}")), reverse=True)]
    for candidate in candidates:
        if candidate is not None and _answers(candidate, version):
            return candidate
    return None


def require_python(version: str) -> str:
    """Return the path of an interpreter of ``version``; skip the test by name where there is none."""
    found = find_python(version)
    if found is None:
        pytest.skip(f"no Python {version} on PATH or below pyenv's versions")
    return found


def _answers(path: str, version: str) -> bool:
    """A pyenv shim is on PATH for every version, but starts only the chosen ones."""
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    answer = subprocess.run([path, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    return answer.returncode == 0 and answer.stdout.strip() == version
