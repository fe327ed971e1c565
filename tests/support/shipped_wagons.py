"""Wagons of the plugins that ship, built from this checkout through pip's index; once per content, not once per run."""

from __future__ import annotations

from pathlib import Path

import pytest

from outrider.plugins.wagons import build_source
from outrider.plugins.wagons.errors import PipFailed

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".ci" / "cache" / "wagons"


def shipped_wagon(name: str) -> Path:
    """Return the wagon of `plugins/<name>`; skips where pip's index does not give what it needs."""
    try:
        return build_source(ROOT / "plugins" / name, CACHE)
    except PipFailed as error:
        pytest.skip(f"the wagon of plugins/{name} cannot be built here: {error}")
