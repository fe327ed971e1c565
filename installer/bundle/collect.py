"""Collecting the wheels that the agent needs on each target, through pip's own configured indexes.

pip judges markers by the Python that it runs on, not by the target's; so the closure over requirements is made here,
and pip only finds and downloads (``--no-deps``).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from outrider.installer.bundle.targets import Target
from outrider.installer.errors import BundleBuildFailed

#: The agent's dependencies are few and shallow; more rounds mean requirements that contradict each other.
MAX_ROUNDS = 8
PIP_SECONDS = 600.0
SOURCE_DATE_EPOCH = "315532800"


def collect_wheels(base: tuple[Requirement, ...], target: Target, folder: Path) -> list[Path]:
    """Download what `base` needs on the target into a folder; returns the wheels."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = _applicable(base, target, extras=frozenset({""}))
    for _ in range(MAX_ROUNDS):
        wheels = _download(wanted, target, folder)
        following = _closure(base, wheels, target)
        if following == wanted:
            return [wheels[name] for name in sorted(wheels)]
        wanted = following
    text = f"the requirements for {target} do not settle: {', '.join(sorted(wanted))}"
    raise BundleBuildFailed(text, remedy="look for packages among them that contradict each other")


def _applicable(stated: tuple[Requirement, ...], target: Target, *, extras: frozenset[str]) -> frozenset[str]:
    """Return the requirements that hold on the target, without their markers."""
    found = set()
    for requirement in stated:
        marker = requirement.marker
        environments = [{**target.marker_environment(), "extra": extra} for extra in extras]
        if marker is None or any(marker.evaluate(environment) for environment in environments):
            plain = Requirement(str(requirement))
            plain.marker = None
            found.add(str(plain))
    return frozenset(found)


def _closure(base: tuple[Requirement, ...], wheels: dict[str, Path], target: Target) -> frozenset[str]:
    """Return all requirements that follow from the base, as far as their wheels are here."""
    wanted: set[str] = set()
    todo = list(_applicable(base, target, extras=frozenset({""})))
    while todo:
        text = todo.pop()
        if text in wanted:
            continue
        wanted.add(text)
        requirement = Requirement(text)
        wheel = wheels.get(canonicalize_name(requirement.name))
        if wheel is not None:
            extras = frozenset({"", *requirement.extras})
            todo.extend(_applicable(wheel_requirements(wheel), target, extras=extras))
    return frozenset(wanted)


def wheel_requirements(path: Path) -> tuple[Requirement, ...]:
    """Return what a wheel says that it needs."""
    with zipfile.ZipFile(path) as wheel:
        metadata = next(name for name in wheel.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        headers = HeaderParser().parsestr(wheel.read(metadata).decode("utf-8", errors="replace"))
    return tuple(Requirement(text) for text in headers.get_all("Requires-Dist") or ())


def _download(wanted: frozenset[str], target: Target, folder: Path) -> dict[str, Path]:
    """Return canonical name -> wheel for all that is wanted."""
    built = folder / "built"
    command = ["download", "--no-deps", "--only-binary=:all:", "--implementation", "cp"]
    command += ["--python-version", target.python, "--find-links", str(built), "--dest", str(folder)]
    for platform in target.pip_platforms:
        command += ["--platform", platform]
    built.mkdir(exist_ok=True)
    for path in folder.glob("*.whl"):
        path.rename(built / path.name)
    answer = _pip([*command, *sorted(wanted)])
    # Each pass builds one package that the index has as a source only.
    for _ in wanted:
        unbuilt = re.search(r"No matching distribution found for (.+)", answer.stderr)
        if unbuilt is None or not _build_pure_wheel(unbuilt[1].strip(), built):
            break
        answer = _pip([*command, *sorted(wanted)])
    if answer.returncode != 0:
        raise _pip_failed(answer.stderr or answer.stdout, target)
    return {parse_wheel_filename(path.name)[0]: path for path in folder.glob("*.whl")}


def _build_pure_wheel(requirement: str, folder: Path) -> bool:
    """Build a package that the index has as a source only; returns whether it became a wheel for every platform."""
    with tempfile.TemporaryDirectory(prefix="outrider-wheel-") as work:
        if _pip(["wheel", "--no-deps", "--wheel-dir", work, requirement]).returncode != 0:
            return False
        wheels = list(Path(work).glob("*-none-any.whl"))
        for wheel in wheels:
            shutil.move(wheel, folder / wheel.name)
        return bool(wheels)


def _pip(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", arguments[0], "--no-input", "--disable-pip-version-check", *arguments[1:]]
    try:
        # What is built from source gets the same hour every time, so that a bundle has the same bytes every time.
        environment = {**os.environ, "SOURCE_DATE_EPOCH": SOURCE_DATE_EPOCH}
        return subprocess.run(
            command, capture_output=True, text=True, timeout=PIP_SECONDS, env=environment, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BundleBuildFailed(
            f"pip did not end within {PIP_SECONDS:g} s", remedy="check the package index"
        ) from error


def _pip_failed(output: str, target: Target) -> BundleBuildFailed:
    if "No module named pip" in output:
        return BundleBuildFailed(
            f"{sys.executable} has no pip", remedy="install pip into this environment: it is what finds the wheels"
        )
    lines = [line for line in output.splitlines() if line.startswith("ERROR")] or output.splitlines()[-3:]
    return BundleBuildFailed(
        f"pip cannot get the agent's wheels for {target}: {' '.join(lines)[:600]}",
        remedy="see that pip's index (`pip config list`) has wheels for this target",
    )
