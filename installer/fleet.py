"""The same work on many hosts at once: in parallel, with live progress, failures summed up by cause.

Hosts come from ``user@host`` arguments or from a file; the hosts that failed are kept for a retry.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Optional, TypeVar

from outrider.installer.errors import FleetError, InstallerError
from outrider.installer.ssh import SshTarget
from outrider.plugins.ssh.access import target as ssh_target
from outrider.plugins.ssh.access.errors import AddressInvalid

logger = logging.getLogger(__name__)

T = TypeVar("T")
Targets = tuple[SshTarget, ...]
#: Each host costs a connection and mostly waits; more would only make the slowest part, our network, slower.
PARALLEL = 20


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """How the work ended on one host."""

    target: SshTarget
    result: Optional[T] = None
    error: Optional[InstallerError] = None

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.error is None


@dataclass(frozen=True)
class Cause:
    """Hosts that failed alike."""

    what: str
    hosts: tuple[str, ...]
    #: One host's message and remedy, for all.
    example: str
    remedy: str


@dataclass(frozen=True)
class FleetReport(Generic[T]):
    """How the work ended on all hosts, in the order in which they were given."""

    outcomes: tuple[Outcome[T], ...]

    @property
    def failed(self) -> tuple[Outcome[T], ...]:
        """The hosts on which it failed."""
        return tuple(outcome for outcome in self.outcomes if not outcome.ok)

    def causes(self) -> tuple[Cause, ...]:
        """Return the failures by cause, the most frequent first."""
        grouped: dict[str, list[tuple[SshTarget, InstallerError]]] = {}
        for outcome in self.outcomes:
            if outcome.error is not None:
                grouped.setdefault(outcome.error.cause, []).append((outcome.target, outcome.error))
        found = [
            Cause(what, tuple(str(target) for target, _ in group), group[0][1].message, group[0][1].remedy)
            for what, group in grouped.items()
        ]
        return tuple(sorted(found, key=lambda cause: (-len(cause.hosts), cause.what)))


def run_fleet(
    targets: Sequence[SshTarget],
    work: Callable[[SshTarget], T],
    *,
    parallel: int = PARALLEL,
    finished: Optional[Callable[[Outcome[T]], None]] = None,
) -> FleetReport[T]:
    """Do the work on every host; a failure on one does not stop the others. `finished` is called as each one ends."""
    if not targets:
        return FleetReport(())
    outcomes: dict[int, Outcome[T]] = {}
    with ThreadPoolExecutor(max_workers=min(parallel, len(targets)), thread_name_prefix="fleet") as pool:
        waiting = {pool.submit(_one, target, work): place for place, target in enumerate(targets)}
        for future in as_completed(waiting):
            outcome = outcomes[waiting[future]] = future.result()
            if finished is not None:
                finished(outcome)
    return FleetReport(tuple(outcomes[place] for place in range(len(targets))))


def _one(target: SshTarget, work: Callable[[SshTarget], T]) -> Outcome[T]:
    try:
        return Outcome(target, result=work(target))
    except InstallerError as error:
        return Outcome(target, error=error)
    except Exception as error:
        logger.exception("a defect on %s", target, extra={"action": "installer.fleet.defect", "host": target.host})
        return Outcome(target, error=InstallerError(f"{target}: {type(error).__name__}: {error}", cause="defect"))


def read_hosts(arguments: Sequence[str], file: Optional[Path], defaults: SshTarget) -> tuple[SshTarget, ...]:
    """Return the hosts of arguments and of a file (one a line, ``#`` begins a comment); every bad line is named."""
    entries = [(text, "the command line") for text in arguments]
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise FleetError(
                f"cannot read {file}: {error.strerror}", remedy="name a file with one host a line"
            ) from error
        stripped = [(line.partition("#")[0].strip(), f"{file}:{number}") for number, line in enumerate(lines, 1)]
        entries += [(text, place) for text, place in stripped if text]
    found: dict[tuple[str, int], SshTarget] = {}
    problems = []
    for text, place in entries:
        try:
            target = parse_target(text, defaults)
        except FleetError as error:
            problems.append(f"{place}: {error.message}")
        else:
            found.setdefault((target.host, target.port), target)
    if problems:
        raise FleetError("; ".join(problems), remedy="write [user@]host[:port], such as admin@10.0.0.5")
    return tuple(found.values())


def parse_target(text: str, defaults: SshTarget) -> SshTarget:
    """Return the host that ``[user@]host[:port]`` means; what it does not say comes from `defaults`."""
    try:
        return ssh_target.parse_target(text, defaults)
    except AddressInvalid as error:
        raise FleetError(error.message, remedy=error.remedy) from error


def remember_failed(path: Path, report: FleetReport[T], *, others: Sequence[SshTarget] = ()) -> None:
    """Keep the hosts that failed for ``--retry-failed``; a run without failures removes the list.

    `others` failed before and were not of this run: they stay in it.
    """
    names = [str(target) for target in (*(outcome.target for outcome in report.failed), *others)]
    if not names:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(names), encoding="utf-8")
    part.replace(path)


def failed_hosts(path: Path, defaults: SshTarget) -> tuple[SshTarget, ...]:
    """Return the hosts that failed last time."""
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FleetError("no failed hosts are remembered", remedy="name the hosts, without --retry-failed") from error
    return tuple(parse_target(name, defaults) for name in names)


def choose_failed(failed: Sequence[SshTarget], named: Sequence[SshTarget]) -> tuple[Targets, Targets]:
    """Return the hosts to try again, and those to leave: of the named ones, where any are, those that failed.

    The same command may be given again with ``--retry-failed``: it names all its hosts, and means some of them.
    """
    if not named:
        return tuple(failed), ()
    places = {(target.host, target.port) for target in failed}
    again = tuple(target for target in named if (target.host, target.port) in places)
    if not again:
        known = ", ".join(map(str, failed[:5]))
        raise FleetError(f"none of these hosts failed the last time; it was {known}", remedy="name others, or none")
    chosen = {(target.host, target.port) for target in again}
    return again, tuple(target for target in failed if (target.host, target.port) not in chosen)
