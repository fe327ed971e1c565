"""`outrider plugin new`: a folder with a working plugin: an operation, types, a blueprint, passing tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import typer

from outrider.cli.output import console, fail

#: The names in the template, which are replaced; the suffix keeps build tools from taking a template for a project.
_DISTRIBUTION, _PACKAGE, _SUFFIX = "my-plugin", "my_plugin", ".template"
_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")


def new(
    name: Annotated[str, typer.Argument(help="Name of the package: small letters, digits, dashes.")],
    folder: Annotated[Path | None, typer.Option(help="Where to put it; default, a folder of that name here.")] = None,
) -> None:
    """Write a working plugin to start from: operations, types, a blueprint, tests."""
    if _NAME.fullmatch(name) is None:
        fail(f"{name!r} cannot be the name of a package; use small letters, digits and dashes: my-plugin")
    target = Path(name) if folder is None else folder
    if target.exists() and any(target.iterdir()):
        fail(f"{target.resolve()} is not empty; choose another folder")
    template = resources.files("outrider.cli") / "templates" / "plugin"
    for place, entry in _files(template):
        path = target / _renamed(place.removesuffix(_SUFFIX), name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_renamed(entry.read_text(encoding="utf-8"), name), encoding="utf-8")
        console.print(f"wrote {path}", soft_wrap=True)
    package = name.replace("-", "_")
    console.print(
        f"\nNow try it:\n  cd {target}\n  outrider plugin test\n"
        f"  outrider plugin run {package}.operations.create -p path=/tmp/note -p text=hello\n"
        "  outrider plugin install . --replace\n  outrider run blueprint.yaml",
        soft_wrap=True,
    )


def _files(folder: Traversable, place: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.is_dir():
            if entry.name != "__pycache__":
                yield from _files(entry, f"{place}{entry.name}/")
        else:
            yield f"{place}{entry.name}", entry


def _renamed(text: str, name: str) -> str:
    return text.replace(_DISTRIBUTION, name.replace("_", "-")).replace(_PACKAGE, name.replace("-", "_"))
