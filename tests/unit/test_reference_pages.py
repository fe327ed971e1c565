"""The generated reference pages say what the code says."""

from __future__ import annotations

import pytest

from docs.reference_pages import FOLDER, PAGES


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_reference_page_is_current(name: str) -> None:
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), "run: python -m docs.reference_pages"
