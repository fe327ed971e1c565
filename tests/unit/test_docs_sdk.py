"""The examples of the SDK's page run as they stand, and the page names everything that the SDK gives."""

from __future__ import annotations

import re
from pathlib import Path

from outrider.plugins import sdk

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "sdk.md"


def test_the_examples_run_from_top_to_bottom() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) > 5
    names: dict[str, object] = {"__name__": "examples_of_the_page"}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)


def test_every_public_name_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in sdk.__all__ if f"`{name}" not in text and f"@{name}" not in text] == []
