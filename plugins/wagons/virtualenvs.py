"""Makes an empty virtualenv under one path that will live under another.

An environment is built aside and renamed into place, but its files name its path: what virtualenv wrote is
corrected before the rename.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .errors import EnvironmentFailed

#: The installed library. Where it is missing, ``[python, "virtualenv.pyz"]`` does the same.
DEFAULT_VIRTUALENV: tuple[str, ...] = (sys.executable, "-m", "virtualenv")
TIMEOUT_SECONDS = 120.0


def create_virtualenv(aside: Path, *, final: Path, python: str, command: Sequence[str], app_data: Path) -> str:
    """Make a virtualenv without seed packages in the empty folder ``aside``, as if it were made in ``final``.

    Returns its site-packages relative to it, such as ``lib/python3.11/site-packages``. Raises EnvironmentFailed.
    """
    arguments = [
        *command,
        *("--quiet", "--no-seed", "--no-periodic-update", "--no-vcs-ignore", "--symlinks"),
        *("--activators", "bash", "--app-data", str(app_data), "--python", python),
        str(aside),
    ]
    try:
        answer = subprocess.run(
            arguments,
            # Not the caller's folder: ``-m`` would look there first.
            cwd=aside,
            env=_environment(app_data),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFailed(f"{final}: {command[0]} cannot make a virtual environment: {error}") from error
    found = sorted(aside.glob("lib/*/site-packages"))
    if answer.returncode != 0 or len(found) != 1:
        tail = answer.stdout.decode("utf-8", "replace")[-2000:]
        raise EnvironmentFailed(
            f"{final}: virtualenv could not make an environment for {python} (exit code {answer.returncode}): {tail}"
        )
    _rename_inside(aside, final)
    return str(found[0].relative_to(aside))


def _environment(app_data: Path) -> dict[str, str]:
    """The caller's environment without the settings that would change what virtualenv makes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VIRTUALENV_", "PYTHONHOME"))}
    return {**kept, "VIRTUALENV_CONFIG_FILE": str(app_data / "no-configuration")}


def _rename_inside(aside: Path, final: Path) -> None:
    """Let every small text file that names ``aside`` name ``final``: pyvenv.cfg and the activation scripts."""
    old, new = os.fsencode(str(aside)), os.fsencode(str(final))
    for path in (aside / "pyvenv.cfg", *(aside / "bin").iterdir()):
        if path.is_symlink() or not path.is_file() or path.stat().st_size > 1 << 16:
            continue
        content = path.read_bytes()
        if old in content:
            path.write_bytes(content.replace(old, new))
