"""What is not a module goes into the wheel too: pages, templates, the facade, types, the markers for type checkers."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import setuptools

ROOT = Path(__file__).resolve().parents[2]
#: What belongs to the sources only.
LEFT_OUT = {".pyc", ".md"}


def declared(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return what setup.py gives to setuptools."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", given.update)
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
    return given


def test_every_file_of_a_package_that_is_no_module_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    given = declared(monkeypatch)
    folders = {name: ROOT / folder for name, folder in given["package_dir"].items()}
    packed = {
        path
        for name, patterns in given["package_data"].items()
        for pattern in patterns
        for path in folders[name].glob(pattern)
    }
    others = {
        path
        for folder in folders.values()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in LEFT_OUT and (path.suffix != ".py" or "templates" in path.parts)
    }
    assert others, "the folders are there"
    assert sorted(str(path.relative_to(ROOT)) for path in others - packed) == []
