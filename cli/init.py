"""`outrider init`: a folder with a runnable blueprint and a one-file plugin, to start from."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from outrider.cli.output import console, fail


def init(
    folder: Annotated[Path, typer.Argument(help="Where to put the files; made if it is not there.")] = Path(),
) -> None:
    """Write a runnable blueprint with a one-file plugin."""
    templates = resources.files("outrider.cli") / "templates" / "init"
    files = {entry.name: entry.read_text(encoding="utf-8") for entry in templates.iterdir() if entry.is_file()}
    existing = [name for name in sorted(files) if (folder / name).exists()]
    if existing:
        fail(f"{folder.resolve()} already has {', '.join(existing)}; choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in sorted(files.items()):
        (folder / name).write_text(text, encoding="utf-8")
        console.print(f"wrote {folder / name}")
    console.print(f"\nNow run it:\n  outrider run {folder / 'blueprint.yaml'} -i name=you")
