"""The pages of the shipped plugins say what their plugin.yaml says."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from docs.plugin_pages import ROOT, pages

PAGES = pages()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_current(path: Path) -> None:
    assert path.exists(), f"write it with: python docs/plugin_pages.py ({path.name})"
    assert path.read_text(encoding="utf-8") == PAGES[path], "write it again with: python docs/plugin_pages.py"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_property_of_every_type_is_described(path: Path) -> None:
    text = (ROOT / "plugins" / path.stem / "plugin.yaml").read_text(encoding="utf-8")
    for name, declared in (yaml.safe_load(text).get("node_types") or {}).items():
        assert f"### {name}\n" in PAGES[path]
        for each in declared.get("properties") or {}:
            assert f"| `{each}` |" in PAGES[path]
