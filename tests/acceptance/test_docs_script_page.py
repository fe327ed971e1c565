"""The example on the script plugin's page, run as it stands there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from outrider.plugins.script.settings import ProcessSettings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "plugins" / "script.md"
FILE = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@pytest.mark.timeout(180)
def test_the_example_runs_as_it_stands(tmp_path: Path) -> None:
    for name, text in FILE.findall(PAGE.read_text(encoding="utf-8")):
        place = tmp_path / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "outrider.cli", "run", "blueprint.yaml", "--json"],
        cwd=tmp_path,
        env={**os.environ, "OUTRIDER_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outputs"] == {"url": "http://localhost:8080", "started": "hello"}


def test_every_setting_of_a_process_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name in ProcessSettings.__dataclass_fields__:
        assert f"`{name}`" in page
