"""Runs pip, the only one here that talks to package indexes: those that the user configured, never others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from .errors import PipFailed
from .packing import source_date_epoch
from .tags import platform_tags
from .target import Target

#: One pip command; a large plugin compiles for minutes.
TIMEOUT_SECONDS = 1800.0
_OUTPUT_CHARACTERS = 4000


@dataclass(frozen=True)
class Pinned:
    """One distribution as pip resolved it: this version, from a file with this hash."""

    name: str
    version: str
    #: SHA-256 of the file (wheel or source archive) that pip chose.
    sha256: str

    @property
    def line(self) -> str:
        """The line of a requirements file that admits nothing else."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


class Pip:
    """pip for one target: an interpreter's own pip, or, for ``cross``, this one restricted to ready-made wheels."""

    def __init__(self, python: str = sys.executable, *, cross: Optional[Target] = None) -> None:
        self._command = (python, "-m", "pip")
        self._cross = cross

    def build(self, source: str, folder: Path, *, what: Optional[str] = None) -> Path:
        """Build or fetch the wheel of ``source`` (a folder or a requirement) itself; return it.

        ``what`` is its name to people, if that is another.
        """
        folder.mkdir()
        arguments = ("--no-deps", "--wheel-dir", str(folder), *self._only_wheels(source), source)
        self._run("wheel", *arguments, what=what or source)
        return next(iter(folder.glob("*.whl")))

    def resolve(
        self, requirements: Sequence[str], *, constraints: Optional[Path], work: Path, what: str
    ) -> tuple[Pinned, ...]:
        """Return what pip would install for ``requirements``, which errors call ``what``; nothing is installed."""
        report = work / "report.json"
        arguments = ["install", "--dry-run", "--ignore-installed", "--report", str(report)]
        if self._cross is not None:
            arguments += ["--target", str(work / "unused"), *self._cross_arguments()]
        if constraints is not None:
            arguments += ["--constraint", str(constraints)]
        self._run(*arguments, *requirements, what=what)
        items = json.loads(report.read_text(encoding="utf-8"))["install"]
        return tuple(sorted((_pinned(item) for item in items), key=lambda one: one.name.lower()))

    def fetch(self, pinned: Sequence[Pinned], folder: Path) -> None:
        """Put the wheels of ``pinned`` into ``folder``; what pip gets must have the recorded hashes."""
        if not pinned:
            return
        lines = folder / "pinned.txt"
        lines.write_text("\n".join(one.line for one in pinned) + "\n", encoding="utf-8")
        common = ("--no-deps", "--require-hashes", "--requirement", str(lines))
        if self._cross is None:
            self._run("wheel", "--wheel-dir", str(folder), *common, what="the dependencies")
        else:
            self._run("download", "--dest", str(folder), *self._cross_arguments(), *common, what="the dependencies")
        lines.unlink()

    def _only_wheels(self, source: str) -> tuple[str, ...]:
        """A requirement for another platform cannot be compiled here; a folder may be, if its wheel is a pure one."""
        if self._cross is None or Path(source).exists():
            return ()
        return ("--only-binary", ":all:")

    def _cross_arguments(self) -> list[str]:
        if self._cross is None:
            return []
        arguments = ["--only-binary", ":all:", "--python-version", ".".join(map(str, self._cross.python[:2]))]
        arguments += ["--implementation", {"cpython": "cp", "pypy": "pp"}.get(self._cross.implementation, "py")]
        for tag in platform_tags(self._cross):
            arguments += ["--platform", tag]
        return arguments

    def _run(self, *arguments: str, what: str) -> None:
        command = [*self._command, "--disable-pip-version-check", "--no-input", *arguments]
        try:
            answer = subprocess.run(
                command,
                cwd="/",  # not the caller's folder: ``-m`` would look there first
                env={**os.environ, "SOURCE_DATE_EPOCH": str(source_date_epoch()), "PYTHONHASHSEED": "0"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PipFailed(f"{what}: {self._command[0]} cannot run pip: {error}", output="") from error
        if answer.returncode != 0:
            output = answer.stdout.decode("utf-8", "replace")[-_OUTPUT_CHARACTERS:]
            remedy = (
                "install pip for it (python -m ensurepip)" if "No module named pip" in output else "see pip's own words"
            )
            raise PipFailed(f"{what}: pip {arguments[0]} failed with {self._command[0]}; {remedy}", output=output)


def _pinned(item: dict[str, Any]) -> Pinned:
    metadata = item["metadata"]
    hashes = item["download_info"].get("archive_info", {}).get("hashes", {})
    if "sha256" not in hashes:
        raise PipFailed(
            f"{metadata['name']} {metadata['version']}: is not a file with a SHA-256 (a folder or a repository?),"
            " so it cannot be locked; give it as a wheel or through an index",
            output="",
        )
    return Pinned(metadata["name"], metadata["version"], hashes["sha256"])
