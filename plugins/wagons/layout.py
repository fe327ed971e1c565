"""Where a store keeps what, and which lock guards which folder: shared by `store` and `collecting`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .disk import remove_tree, room_on

_WORK = ".work"


@dataclass(frozen=True)
class Layout:
    """The folders below one store's root. What is in ``aside`` belongs to whoever holds the lock of its name."""

    root: Path

    @property
    def plugins(self) -> Path:
        """``plugins/<name>/<version>-<hash>``: the environments."""
        return self.root / "plugins"

    @property
    def aside(self) -> Path:
        """What is being built."""
        return self.root / "aside"

    @property
    def locks(self) -> Path:
        """The lock files."""
        return self.root / "locks"

    @property
    def wagons(self) -> Path:
        """``wagons/<sha256>.json``: which wheels a verified wagon has."""
        return self.root / "wagons"

    @property
    def wheels(self) -> Path:
        """``wheels/<sha256>``: the images."""
        return self.root / "wheels"

    @property
    def in_use(self) -> Path:
        """The lock that builders share, and that who drops images needs alone."""
        return self.locks / "in-use.lock"

    def make(self) -> None:
        """Make the folders that are missing."""
        with room_on(self.root):
            for folder in (self.plugins, self.aside, self.locks, self.wagons, self.wheels):
                folder.mkdir(parents=True, exist_ok=True)

    def lock_of(self, environment: Path) -> Path:
        """Return the lock of an environment."""
        return self.locks / f"{_key(environment)}.lock"

    def aside_of(self, environment: Path) -> Path:
        """Return where an environment is built, and where it is moved to be removed."""
        return self.aside / _key(environment)

    def work_of(self, environment: Path) -> Path:
        """Return where its wheels are put while they are unpacked; gone before the environment is assembled."""
        return self.aside / f"{_key(environment)}{_WORK}"

    def owner_of(self, leftover: Path) -> Path:
        """Return the lock that guards a folder in ``aside``."""
        return self.locks / f"{leftover.name.removesuffix(_WORK)}.lock"

    def environments(self) -> tuple[Path, ...]:
        """Return the folders of all environments."""
        return tuple(sorted(self.plugins.glob("*/*")))

    def clear(self, environment: Path) -> None:
        """Remove an environment, moved away first so that nobody sees half of one, and what a kill left of it."""
        aside = self.aside_of(environment)
        remove_tree(self.work_of(environment))
        remove_tree(aside)
        if environment.exists():
            environment.rename(aside)
            remove_tree(aside)


def _key(environment: Path) -> str:
    return f"{environment.parent.name}-{environment.name}"
