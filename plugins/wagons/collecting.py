"""Garbage collection of a store: environments that nobody wants, then wheels that none uses, then leftovers of kills.

What another process is working on right now is left alone: locks are tried, not waited for.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from .disk import remove_tree, tree_size
from .environment import read_marker
from .images import WheelImages
from .layout import Layout
from .locks import locked_if_free
from .virtualenvs import Virtualenvs


@dataclass(frozen=True)
class Collected:
    """What a garbage collection removed."""

    environments: tuple[Path, ...] = ()
    wheels: tuple[str, ...] = ()
    freed_bytes: int = 0


def collect_garbage(
    layout: Layout, images: WheelImages, virtualenvs: Virtualenvs, *, keep: Collection[Path]
) -> Collected:
    """Remove all environments whose path is not in ``keep``, and what only they needed."""
    removed, freed = _remove_environments(layout, keep)
    wheels, wheel_bytes = _drop_unused_wheels(layout, images)
    virtualenvs.clear()
    for leftover in layout.aside.iterdir():
        with locked_if_free(layout.owner_of(leftover)) as free:
            if free:
                remove_tree(leftover)
    return Collected(removed, wheels, freed + wheel_bytes)


def _remove_environments(layout: Layout, keep: Collection[Path]) -> tuple[tuple[Path, ...], int]:
    removed, freed = [], 0
    for path in layout.environments():
        if path in keep:
            continue
        with locked_if_free(layout.lock_of(path)) as free:
            if free:
                freed += _own_bytes(path)
                layout.clear(path)
                removed.append(path)
    return tuple(removed), freed


def _drop_unused_wheels(layout: Layout, images: WheelImages) -> tuple[tuple[str, ...], int]:
    """Drop images that no environment has; none at all while somebody builds, who may be about to use them."""
    with locked_if_free(layout.in_use) as alone:
        if not alone:
            return (), 0
        environments = [one for one in map(read_marker, layout.environments()) if one is not None]
        used = {digest for environment in environments for digest in environment.wheels}
        dropped, freed = [], 0
        for digest in images.all_hashes():
            if digest not in used:
                freed += tree_size(layout.wheels / digest)
                images.drop(digest)
                dropped.append(digest)
        wagons = {environment.sha256 for environment in environments}
        for path in layout.wagons.glob("*.json"):
            if path.stem not in wagons:
                path.unlink(missing_ok=True)
        return tuple(dropped), freed


def _own_bytes(path: Path) -> int:
    """Return what removing an environment frees: files that the store's images do not share."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            found = os.lstat(f"{folder}/{name}")
            total += found.st_size if found.st_nlink == 1 else 0
    return total
