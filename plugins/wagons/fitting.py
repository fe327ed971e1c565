"""Does a wagon fit a target, and which of several wagons of one version fits best? All reasons are told.

Fitness is judged from tags alone, so that the agent can choose before it downloads: `wagon_tags` makes the short
list that travels in ``WagonRef.tags``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Optional, Protocol, TypeVar

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from .errors import DuplicateWheel, NoFittingWagon
from .tags import supported_tags
from .target import Target
from .wagon import Wagon, WagonWheel
from .wheelname import expand

#: Alternatives in one entry of a tag list: a wagon may hold several wheels of one distribution.
ALTERNATIVES = "|"
_UNIVERSAL = frozenset({"py3-none-any"})


class Candidate(Protocol):
    """What `choose` needs to know of a wagon, which need not be there yet; ``messaging.WagonRef`` is one."""

    @property
    def filename(self) -> str:
        """The archive's file name."""

    @property
    def tags(self) -> tuple[str, ...]:
        """What `wagon_tags` said of it."""


CandidateT = TypeVar("CandidateT", bound=Candidate)


@dataclass(frozen=True)
class Reason:
    """One reason why something does not fit: what, why, and what would."""

    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.subject} {self.text}"


def archive_tag(wagon: Wagon) -> str:
    """Return the archive's own tag, such as ``py39.py311-none-any``; empty when its metadata names no Python."""
    if not wagon.pythons:
        return ""
    return f"{'.'.join(wagon.pythons)}-none-{wagon.supported_platform}"


def wagon_tags(wagon: Wagon) -> tuple[str, ...]:
    """Return what a target must support for this wagon to fit: the archive's own tag, then its wheels'.

    Each entry must be met. An entry is a compressed tag (``py2.py3-none-any``: any of them), or several with ``|``
    between them. Wheels that fit every Python 3 are left out, so a pure plugin's list is short.
    """
    by_distribution: dict[str, list[str]] = {}
    for wheel in wagon.wheels:
        by_distribution.setdefault(wheel.name.key, []).append(wheel.name.tag)
    needs = {ALTERNATIVES.join(sorted(set(several))) for several in by_distribution.values() if not _universal(several)}
    own = archive_tag(wagon)
    return tuple([own] if own else []) + tuple(sorted(needs - {own}))


def check(wagon: Wagon, target: Target) -> tuple[Reason, ...]:
    """Return every reason why ``wagon`` cannot be installed for ``target``; none means that it fits."""
    reasons = []
    own = archive_tag(wagon)
    if own and not _meets(own, target):
        reasons.append(Reason("the wagon", _built_for(own, target)))
    if wagon.requires_python and not accepts_python(wagon.requires_python, target):
        reasons.append(Reason(wagon.name, f"requires Python {wagon.requires_python}, this is {target.description}"))
    for several in _by_distribution(wagon.wheels).values():
        if not any(_rank(wheel.name.tag, target) is not None for wheel in several):
            tags = ", ".join(sorted({wheel.name.tag for wheel in several}))
            subject = " and ".join(wheel.name.filename for wheel in several)
            reasons.append(Reason(subject, _built_for(tags, target)))
    return tuple(reasons)


def select_wheels(wagon: Wagon, target: Target) -> tuple[WagonWheel, ...]:
    """Return the wheels to install for ``target``: of each distribution the one that fits best.

    Raises NoFittingWagon with all reasons, or DuplicateWheel where two versions of one distribution fit.
    """
    reasons = check(wagon, target)
    if reasons:
        message = f"{wagon.path}: this wagon does not fit {target.description}"
        raise NoFittingWagon(message, reasons={wagon.filename: tuple(map(str, reasons))})
    return tuple(_best(wagon, several, target) for several in _by_distribution(wagon.wheels).values())


def check_tags(tags: Iterable[str], target: Target) -> tuple[Reason, ...]:
    """Return every reason why a wagon with these `wagon_tags` does not fit ``target``."""
    return tuple(Reason("it", _built_for(tag, target)) for tag in tags if not _meets(tag, target))


def choose(candidates: Sequence[CandidateT], target: Target) -> CandidateT:
    """Return the candidate that fits ``target`` best.

    Candidates have ``filename`` and ``tags`` (``messaging.WagonRef`` does). Of several that fit, the one built for
    the nearest Python and platform wins; equals are decided by file name, so that every agent decides alike.
    Raises NoFittingWagon with all reasons of each candidate.
    """
    fitting = []
    reasons: dict[str, tuple[str, ...]] = {}
    for candidate in candidates:
        found = check_tags(candidate.tags, target)
        if found:
            reasons[candidate.filename] = tuple(map(str, found))
        else:
            fitting.append((_nearness(candidate.tags, target), candidate.filename, candidate))
    if not fitting:
        what = "none of its wagons fits" if candidates else "there is no wagon for"
        raise NoFittingWagon(f"{what} {target.description}; build one with this Python and platform", reasons=reasons)
    return min(fitting, key=lambda entry: entry[:2])[2]


def accepts_python(specifier: str, target: Target) -> bool:
    """Say whether ``target`` is in the versions that ``specifier`` (``>=3.9``) allows."""
    try:
        return SpecifierSet(specifier).contains(".".join(map(str, target.python)), prereleases=True)
    except InvalidSpecifier:
        return True  # pip ignores what it cannot read, too: the wheel's tags still decide


def _nearness(tags: tuple[str, ...], target: Target) -> tuple[int, ...]:
    """Rank a fitting candidate: entry by entry; no tags at all (fits everything) is the last resort."""
    ranks = [_best_rank(tag, target) for tag in tags]
    return tuple(ranks) if ranks else (1 << 30,)


def _best_rank(tag: str, target: Target) -> int:
    found = [_rank(one, target) for one in tag.split(ALTERNATIVES)]
    return min((rank for rank in found if rank is not None), default=1 << 30)


def _by_distribution(wheels: Iterable[WagonWheel]) -> dict[str, list[WagonWheel]]:
    found: dict[str, list[WagonWheel]] = {}
    for wheel in wheels:
        found.setdefault(wheel.name.key, []).append(wheel)
    return found


def _best(wagon: Wagon, several: list[WagonWheel], target: Target) -> WagonWheel:
    ranked = [(rank, wheel) for wheel in several for rank in [_rank(wheel.name.tag, target)] if rank is not None]
    if len({wheel.name.version for _, wheel in ranked}) > 1:
        names = ", ".join(wheel.name.filename for _, wheel in ranked)
        reason = f"two versions of {several[0].name.key} fit {target.description}"
        raise DuplicateWheel(str(wagon.path), reason, member=names, remedy="build the wagon again with one of them")
    return min(ranked, key=lambda entry: (entry[0], entry[1].name.filename))[1]


def _meets(tag: str, target: Target) -> bool:
    return any(_rank(one, target) is not None for one in tag.split(ALTERNATIVES))


def _rank(tag: str, target: Target) -> Optional[int]:
    supported = supported_tags(target)
    return min((supported[one] for one in expand(tag) if one in supported), default=None)


def _universal(tags: Iterable[str]) -> bool:
    return any(not _UNIVERSAL.isdisjoint(expand(tag)) for tag in tags)


def _built_for(tag: str, target: Target) -> str:
    return f"is built for {tag}, this is {target.description}"
