"""`outrider plugin build|install|run`: what is said about what was given."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from outrider.cli import plugin as command
from outrider.cli import plugin_bench
from tests.support.wagons import WagonMaker


def test_a_wagon_that_fits_several_platforms_is_named_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [SimpleNamespace(path=Path(f"dist/demo-1.0-{python}-none-any.wgn")) for python in ("py39", "py39", "py311")]
    monkeypatch.setattr("outrider.plugins.wagons.build", lambda *_, **__: SimpleNamespace(wagons=made))
    command.build("demo==1.0")
    assert capsys.readouterr().out.split() == ["dist/demo-1.0-py39-none-any.wgn", "dist/demo-1.0-py311-none-any.wgn"]


def test_a_known_version_is_not_replaced_unless_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OUTRIDER_HOME", str(tmp_path / "home"))
    wagon = WagonMaker().write(tmp_path)
    command.install(wagon)
    with pytest.raises(typer.Exit):
        command.install(wagon)
    assert "raise the plugin's version, or put this one in its place: --replace" in capsys.readouterr().err
    command.install(wagon, replace=True)
    assert "demo 1.0 is known" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text", ['{"source": {}}', '{"target": {}}', '{"source": {}, "target": 3}', '{"source": null}']
)
def test_half_a_relationship_is_refused_before_anything_runs(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    context = tmp_path / "context.json"
    context.write_text(text)
    with pytest.raises(typer.Exit):
        plugin_bench.run("demo.create", context=context)
    assert "needs both source and target, each an object" in capsys.readouterr().err
