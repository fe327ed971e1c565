"""Lays wheels into a virtualenv that somebody else makes and keeps: no store, no wagon.

The installer's part on a host builds the agent's own environment with it. It runs there before anything is
installed, out of the bundle's own wheel, so this module and what it imports need the standard library alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .digest import file_sha256
from .disk import remove_tree
from .images import WheelImages
from .layout import Layout
from .linking import EnvironmentBuilder


def lay_wheels(wheels: Sequence[Path], *, aside: Path, final: Path, site_packages: str) -> None:
    """Lay wheels into the virtualenv ``aside``, which is going to be renamed to ``final``.

    ``site_packages`` is relative to it. Raises ArchiveError for a wheel that is not what it says, or StoreError.
    """
    layout = Layout(aside / ".wheels")
    layout.make()
    images = WheelImages(layout.root)
    builder = EnvironmentBuilder(aside=aside, final=final, site_packages=site_packages)
    try:
        for wheel in wheels:
            builder.install(images.add(wheel, file_sha256(wheel)), requested=True)
    finally:
        remove_tree(layout.root)
