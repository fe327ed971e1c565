"""`outrider plugin run` with a mistake in the operation's name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import typer

from outrider.cli import plugin_bench
from outrider.cli.plugin_bench import Bench


def test_the_command_says_it_in_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "web_notes.py").write_text("def create(**_): return 1\n")
    monkeypatch.chdir(tmp_path)
    tree = next(path for path in sys.path if (Path(path) / "outrider").is_dir())
    monkeypatch.setattr(plugin_bench, "bench_of", lambda *_, **__: Bench(Path(sys.executable), Path(tree)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(typer.Exit) as ended:
        plugin_bench.run("web_notes.craete")
    shown = capfd.readouterr()
    assert (ended.value.exit_code, shown.out) == (2, "")
    assert shown.err.startswith("error: the module web_notes (")
    assert shown.err.endswith("has no function 'craete'; near it is: create\n")
