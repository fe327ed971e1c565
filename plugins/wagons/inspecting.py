"""A closer look into a wagon than reading it: every wheel verified, and what they require but the wagon lacks.

Used by the command line (``plugin verify``, ``plugin check``) and by `building`, whose wagons must be complete.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from typing import Optional

from packaging.requirements import InvalidRequirement, Requirement

from .errors import ArchiveError
from .fitting import select_wheels
from .limits import DEFAULT_LIMITS, Limits
from .tags import marker_environment
from .target import Target
from .wagon import Wagon, WagonWheel, extract_wheels, read_wagon
from .wheel import Wheel
from .wheelname import normalize


@dataclass(frozen=True)
class Verification:
    """A wagon whose structure is right, and everything that is wrong with its wheels."""

    wagon: Wagon
    problems: tuple[ArchiveError, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@dataclass(frozen=True)
class WheelMetadata:
    """What a wheel's METADATA says about what it needs."""

    name: str
    version: str
    requires_python: str
    requires: tuple[str, ...]


@dataclass(frozen=True)
class MissingRequirement:
    """Something that a wheel requires on the target and the wagon does not have, in that version or at all."""

    wheel: str
    requirement: str
    #: The version that the wagon has instead; empty when it has none.
    found: str = ""

    def __str__(self) -> str:
        instead = f"holds {self.found}" if self.found else "does not hold it"
        return f"{self.wheel} requires {self.requirement}, and the wagon {instead}"


def verify_wagon(path: Path, *, sha256: Optional[str] = None, limits: Limits = DEFAULT_LIMITS) -> Verification:
    """Check the structure and every file of every wheel. Raises ArchiveError only when the structure is wrong."""
    wagon = read_wagon(path, sha256=sha256, limits=limits)
    problems: list[ArchiveError] = []
    with _extracted(wagon, wagon.wheels, limits) as folder:
        for wheel in wagon.wheels:
            try:
                with _opened(wagon, wheel, folder, limits) as opened:
                    opened.verify()
            except ArchiveError as error:
                problems.append(error)
    return Verification(wagon, tuple(problems))


def missing_requirements(
    wagon: Wagon, target: Target, *, limits: Limits = DEFAULT_LIMITS
) -> tuple[MissingRequirement, ...]:
    """Return what the wagon's wheels require on ``target`` and it lacks.

    Not an obstacle to an install: a plugin may find such a thing elsewhere (the agent's facade), or never use it.
    Raises ArchiveError or NoFittingWagon.
    """
    wheels = select_wheels(wagon, target)
    with _extracted(wagon, wheels, limits) as folder:
        metadata = []
        for wheel in wheels:
            with _opened(wagon, wheel, folder, limits) as opened:
                metadata.append(parse_metadata(opened.metadata()))
    return unmet(metadata, target)


def parse_metadata(text: str) -> WheelMetadata:
    """Read the headers of a METADATA file."""
    headers = HeaderParser().parsestr(text)
    return WheelMetadata(
        name=str(headers.get("Name") or ""),
        version=str(headers.get("Version") or ""),
        requires_python=str(headers.get("Requires-Python") or ""),
        requires=tuple(str(value) for value in headers.get_all("Requires-Dist") or ()),
    )


def unmet(wheels: Iterable[WheelMetadata], target: Target) -> tuple[MissingRequirement, ...]:
    """Return the requirements that apply on ``target`` and that none of ``wheels`` meets, extras included."""
    held = {normalize(wheel.name): wheel for wheel in wheels}
    environment = marker_environment(target)
    missing: dict[tuple[str, str], MissingRequirement] = {}
    # A wheel is looked at once without extras, and once for each extra that somebody asks it for.
    waiting = [(name, "") for name in held]
    seen = set(waiting)
    while waiting:
        name, extra = waiting.pop()
        wheel = held[name]
        for text in wheel.requires:
            requirement = _applicable(text, {**environment, "extra": extra})
            if requirement is None:
                continue
            key = normalize(requirement.name)
            found = held.get(key)
            if found is None or not requirement.specifier.contains(found.version, prereleases=True):
                version = found.version if found else ""
                bare = f"{requirement.name}{_extras(requirement)}{requirement.specifier}"
                missing[wheel.name, bare] = MissingRequirement(wheel.name, bare, version)
                continue
            more = {(key, one) for one in requirement.extras} - seen
            seen |= more
            waiting += sorted(more)
    return tuple(missing[key] for key in sorted(missing))


def _applicable(text: str, environment: dict[str, str]) -> Optional[Requirement]:
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return None  # pip warns and goes on, too; such lines are in a few old wheels
    if requirement.marker is not None and not requirement.marker.evaluate(environment):
        return None
    if requirement.marker is None and environment["extra"]:
        return None  # it was looked at without the extra
    return requirement


def _extras(requirement: Requirement) -> str:
    return f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""


@contextmanager
def _extracted(wagon: Wagon, wheels: tuple[WagonWheel, ...], limits: Limits) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="outrider-wagon-") as name:
        folder = Path(name)
        extract_wheels(wagon, wheels, folder, limits=limits)
        yield folder


def _opened(wagon: Wagon, wheel: WagonWheel, folder: Path, limits: Limits) -> Wheel:
    label = f"{wagon.path}: {wheel.name.filename}"
    return Wheel(folder / wheel.name.filename, limits=limits, label=label)
