"""The oldest and the newest Python that hosts may have, with the base dependencies alone, as a host has them."""

from __future__ import annotations

from pathlib import Path

from tests.support.environments import environment

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("3.9", "3.13")
#: What the tests themselves need.
EXTRA = ("pytest>=8", "pytest-timeout>=2.3", "hypothesis>=6.100", "setuptools>=77,<81", "wheel")


def floor_environment(python: str) -> Path:
    """Return the interpreter of an environment of `python` with the base dependencies and links to the sources."""
    return environment([*EXTRA, *_base()], python=python, with_sources=True)


def _base() -> list[str]:
    """Return the base dependencies, as setup.py has them."""
    source = (ROOT / "setup.py").read_text(encoding="utf-8")
    block = source.partition("AGENT = [")[2].partition("]\n")[0]
    namespace: dict[str, list[str]] = {}
    exec(f"AGENT = [{block}]", namespace)
    return namespace["AGENT"]
