"""The how-to of the library runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "use-as-a-library.md"


def test_the_blocks_of_the_library_page_run_one_after_the_other(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "outrider.cli", "init", str(tmp_path)], check=True, timeout=60)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    printed = ""
    for number, block in enumerate(blocks):
        script = tmp_path / f"block{number}.py"
        script.write_text(block, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, str(script)], cwd=tmp_path, check=False, timeout=110, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        printed += done.stdout
    assert "terminated {'greeting': 'Hello, library!'}" in printed
    assert re.search(r"^\d+$", printed, re.MULTILINE)
