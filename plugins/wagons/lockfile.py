"""The lock of a build: for each target, every dependency's version and the hash of the file that it came from.

With a lock, a build is repeated with the same dependencies, or fails. The file is JSON, sorted, and meant to be
committed beside the plugin.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .errors import BadSource
from .pip import Pinned

_FORMAT = 1


@dataclass(frozen=True)
class Lock:
    """Dependencies by target, such as ``py311-linux_x86_64``."""

    targets: Mapping[str, tuple[Pinned, ...]] = field(default_factory=dict)

    def of(self, target: str) -> tuple[Pinned, ...]:
        """Return a target's dependencies. Raises BadSource when the lock does not know the target."""
        if target not in self.targets:
            known = ", ".join(sorted(self.targets)) or "none"
            raise BadSource(f"the lock has no target {target}, only {known}; build without it once to lock this target")
        return self.targets[target]


def write_lock(path: Path, lock: Lock) -> None:
    """Write the lock; the same lock gives the same bytes."""
    targets = {
        name: [{"name": one.name, "version": one.version, "sha256": one.sha256} for one in pinned]
        for name, pinned in lock.targets.items()
    }
    text = json.dumps({"format": _FORMAT, "targets": targets}, indent=1, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")


def read_lock(path: Path) -> Lock:
    """Read a lock. Raises BadSource when it is missing or not one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise BadSource(f"{path}: has the lock format {content['format']}, only {_FORMAT} is known; lock again")
        return Lock(
            {
                name: tuple(Pinned(one["name"], one["version"], one["sha256"]) for one in pinned)
                for name, pinned in content["targets"].items()
            }
        )
    except OSError as error:
        raise BadSource(f"{path}: cannot be read: {error.strerror}; build with locking once to write it") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadSource(f"{path}: is not a lock file: {error!r}; build with locking once to write it again") from error
