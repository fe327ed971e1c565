"""Empty virtualenvs: made once per interpreter by the virtualenv tool, then copied for each environment.

Starting the tool costs a third of a second, copying its dozen files a few milliseconds. Environments are built aside
and renamed into place, so the copy's files must name another path than the one they are at; that is corrected here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .disk import remove_tree, room_on, tells_full_disk
from .errors import DiskFull, EnvironmentFailed
from .locks import locked, locked_if_free
from .target import interpreter_key

#: The installed library. Where it is missing, ``[python, "virtualenv.pyz"]`` does the same.
DEFAULT_VIRTUALENV: tuple[str, ...] = (sys.executable, "-m", "virtualenv")
TIMEOUT_SECONDS = 120.0
#: Larger files in ``bin/`` are interpreters, not scripts.
_LARGEST_SCRIPT_BYTES = 1 << 16


class Virtualenvs:
    """The empty virtualenvs of one store, below ``root``/virtualenvs. Safe for several processes."""

    def __init__(self, root: Path, *, command: Sequence[str], lock_timeout_seconds: float) -> None:
        self._folder = root / "virtualenvs"
        self._aside = root / "aside"
        self._locks = root / "locks"
        self._command = tuple(command)
        self._lock_timeout_seconds = lock_timeout_seconds

    def lay(self, folder: Path, *, final: Path, python: str) -> str:
        """Make ``folder`` an empty virtualenv of ``python`` that is going to be renamed to ``final``.

        Returns its site-packages relative to it, such as ``lib/python3.11/site-packages``. Raises
        EnvironmentFailed or StoreError.
        """
        key = self._key(python)
        original = self._folder / key
        with locked(self._lock(key), timeout_seconds=self._lock_timeout_seconds), room_on(folder):
            if not original.exists():
                self._make(original, self._aside / f"virtualenv-{key}", python)
            shutil.copytree(original, folder, symlinks=True)
        _rename_inside(folder, self._aside / f"virtualenv-{key}", final)
        return str(_site_packages(folder).relative_to(folder))

    def clear(self) -> None:
        """Remove all that nobody is copying right now; the next environment makes its own again."""
        for original in self._folder.glob("*"):
            with locked_if_free(self._lock(original.name)) as free:
                if free:
                    remove_tree(original)

    def _lock(self, key: str) -> Path:
        return self._locks / f"virtualenv-{key}.lock"

    def _key(self, python: str) -> str:
        """Name an interpreter at a path; a replaced one gets another name."""
        real = interpreter_key(python)
        found = Path(real).stat()
        facts = (real, found.st_mtime_ns, found.st_size, *self._command)
        return hashlib.sha256("\n".join(map(str, facts)).encode()).hexdigest()[:16]

    def _make(self, original: Path, aside: Path, python: str) -> None:
        remove_tree(aside)
        aside.mkdir()
        original.parent.mkdir(exist_ok=True)
        try:
            self._run(aside, python)
            aside.rename(original)
        except BaseException:
            remove_tree(aside)
            raise

    def _run(self, aside: Path, python: str) -> None:
        app_data = aside / ".app-data"
        arguments = (
            *self._command,
            *("--quiet", "--no-seed", "--no-periodic-update", "--no-vcs-ignore", "--symlinks"),
            *("--activators", "bash", "--app-data", str(app_data), "--python", python),
            str(aside),
        )
        try:
            answer = subprocess.run(
                arguments,
                cwd=aside,  # not the caller's folder: ``-m`` would look there first
                env=_environment(aside),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EnvironmentFailed(
                f"{python}: {self._command[0]} cannot make a virtual environment: {error}"
            ) from error
        remove_tree(app_data)
        if answer.returncode != 0 or not (aside / "bin" / "python").exists():
            tail = answer.stdout.decode("utf-8", "replace")[-2000:]
            if tells_full_disk(tail):
                raise DiskFull(aside)
            raise EnvironmentFailed(
                f"{python}: virtualenv could not make an environment (exit code {answer.returncode}): {tail}"
            )


def _environment(aside: Path) -> dict[str, str]:
    """The caller's environment without the settings that would change what virtualenv makes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VIRTUALENV_", "PYTHONHOME"))}
    return {**kept, "VIRTUALENV_CONFIG_FILE": str(aside / "no-configuration")}


def _site_packages(folder: Path) -> Path:
    found = sorted(path for path in folder.glob("lib/*/site-packages") if path.is_dir())
    if len(found) != 1:
        raise EnvironmentFailed(f"{folder}: has {len(found)} site-packages folders; a virtualenv has one")
    return found[0]


def _rename_inside(folder: Path, old_path: Path, new_path: Path) -> None:
    """Let every small text file that names the old path name the new one: pyvenv.cfg and the activation scripts."""
    old, new = os.fsencode(str(old_path)), os.fsencode(str(new_path))
    for path in (folder / "pyvenv.cfg", *(folder / "bin").iterdir()):
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST_SCRIPT_BYTES:
            continue
        content = path.read_bytes()
        if old in content:
            path.write_bytes(content.replace(old, new))
