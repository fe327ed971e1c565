"""`outrider blueprint …` with a manager: upload, list and delete there; blueprints are checked and drawn here."""

from __future__ import annotations

import re
import tarfile
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from outrider.cli import completing
from outrider.cli.blueprint import BlueprintFile, Json
from outrider.cli.output import console, fail, print_json, print_table
from outrider.cli.remote.client import at
from outrider.cli.remote.session import bar, connected, moment, uploaded

BlueprintId = Annotated[
    str, typer.Argument(help="Id of the blueprint.", metavar="ID", autocompletion=completing.blueprints)
]


def upload(
    path: BlueprintFile,
    blueprint_id: Annotated[
        str | None, typer.Option("--id", "-b", help="Its id there; default, the name of its folder.")
    ] = None,
    json: Json = False,
) -> None:
    """Upload a blueprint with its folder; one with mistakes is refused, with all of them."""
    main = path.resolve()
    if not main.is_file():
        fail(
            f"{path} is a folder: name the blueprint's main file in it" if main.is_dir() else f"there is no file {path}"
        )
    chosen = blueprint_id or re.sub(r"[^A-Za-z0-9._-]+", "-", main.parent.name)
    with tempfile.TemporaryDirectory() as folder, connected() as client:
        archive = packed(main.parent, Path(folder))
        query: dict[str, object] = {"application_file_name": main.name}
        stored = uploaded(client, "PUT", at("blueprints", chosen), archive, query=query, title=chosen)
    if json:
        print_json(stored)
    else:
        console.print(f"{chosen} is uploaded; next: outrider deployment create NAME -b {chosen}", soft_wrap=True)


def packed(source: Path, folder: Path) -> Path:
    """Return an archive with the folder in it; what version control and Python keep beside the files is left out."""
    target = folder / "blueprint.tar.gz"
    with tarfile.open(target, "w:gz") as archive:
        archive.add(source, "blueprint", filter=_wanted)
    return target


def _wanted(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    left_out = {".git", "__pycache__", ".venv"} & set(Path(member.name).parts)
    return None if left_out else member


def list_blueprints(json: Json = False) -> None:
    """List the manager's blueprints."""
    with connected() as client:
        found = list(client.listed("/blueprints", {"_sort": "created_at"}))
    if json:
        print_json(found)
        return
    print_table(
        ("blueprint", "state", "main file", "uploaded"),
        ((each["id"], each["state"], each["main_file_name"], moment(each["created_at"])) for each in found),
        empty="No blueprints yet. Upload one: outrider blueprint upload blueprint.yaml",
    )


def download(
    blueprint_id: BlueprintId,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File; default, ID.tar.gz.")] = None,
) -> None:
    """Download a blueprint's archive as it was uploaded."""
    target = output or Path(f"{blueprint_id}.tar.gz")
    with connected() as client, bar(target.name, None) as (begun, moved):
        client.download(at("blueprints", blueprint_id, "archive"), target, begun=begun, moved=moved)
    console.print(f"wrote {target}", soft_wrap=True)


def delete(blueprint_id: BlueprintId) -> None:
    """Delete a blueprint that no deployment uses."""
    with connected() as client:
        client.call("DELETE", at("blueprints", blueprint_id), query={"force": "False"})
    console.print(f"deleted {blueprint_id}")
