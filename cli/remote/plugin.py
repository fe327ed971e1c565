"""`outrider plugin …` with a manager: upload, list, download and delete there; wagons are built and checked here."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import Annotated, Any

import typer

from outrider.cli import completing
from outrider.cli.home import find_home
from outrider.cli.output import console, fail, print_json, print_table
from outrider.cli.remote.client import ManagerClient
from outrider.cli.remote.session import bar, connected, moment, uploaded
from outrider.plugins import wagons
from outrider.plugins.wagons import WagonError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
PluginName = Annotated[
    str,
    typer.Argument(
        help="Id, or NAME==VERSION, or NAME if there is one.", metavar="PLUGIN", autocompletion=completing.plugins
    ),
]


def upload(
    path: Annotated[Path, typer.Argument(help="A wagon, or a folder or .py file to build one from.", exists=True)],
    yaml: Annotated[list[Path] | None, typer.Option("--yaml", "-y", exists=True, help="plugin.yaml beside it.")] = None,
    json: Json = False,
) -> None:
    """Upload a plugin: blueprints may import it as plugin:NAME, agents fetch it when a task needs it."""
    try:
        wagon = path if path.suffix == ".wgn" else wagons.build_source(path, find_home().make().builds)
    except WagonError as error:
        fail(str(error))
    with tempfile.TemporaryDirectory() as folder, connected() as client:
        body = bundled(wagon, yaml, Path(folder)) if yaml else wagon
        stored = uploaded(client, "POST", "/plugins", body, title=wagon.name)
    if json:
        print_json(stored)
    else:
        console.print(f"{stored['package_name']} {stored['package_version']} is uploaded: {stored['id']}")


def bundled(wagon: Path, yamls: list[Path], folder: Path) -> Path:
    """Return an archive of a wagon and its descriptions."""
    target = folder / f"{wagon.stem}.zip"
    with zipfile.ZipFile(target, "w") as archive:
        for file in (wagon, *yamls):
            archive.write(file, file.name)
    return target


def list_plugins(json: Json = False) -> None:
    """List the plugins that the manager knows."""
    with connected() as client:
        found = list(client.listed("/plugins", {"_sort": "package_name"}))
    if json:
        print_json(found)
        return
    rows = (
        (each["package_name"], each["package_version"], each["id"], each["visibility"], moment(each["uploaded_at"]))
        for each in found
    )
    print_table(
        ("package", "version", "id", "visibility", "uploaded"),
        rows,
        empty="No plugins yet. Upload one: outrider plugin upload NAME.wgn",
    )


def download(
    name: PluginName,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File; default, its own name.")] = None,
) -> None:
    """Download a plugin's wagon."""
    with connected() as client:
        plugin = find(client, name)
        target = output or Path(plugin["archive_name"]).with_suffix(".wgn")
        with bar(target.name, None) as (begun, moved):
            client.download(f"/plugins/{plugin['id']}/archive", target, begun=begun, moved=moved)
    console.print(f"wrote {target}", soft_wrap=True)


def delete(
    name: PluginName,
    force: Annotated[bool, typer.Option("--force", "-f", help="Although blueprints use it.")] = False,
) -> None:
    """Delete a plugin that no blueprint uses."""
    with connected() as client:
        plugin = find(client, name)
        client.call("DELETE", f"/plugins/{plugin['id']}", body={"force": force})
    console.print(f"deleted {plugin['package_name']} {plugin['package_version']}")


def find(client: ManagerClient, name: str) -> dict[str, Any]:
    """Return the plugin of an id, a name and version, or a name; ends the command if that is not one."""
    package, _, version = name.partition("==")
    query = {"package_name": package, **({"package_version": version} if version else {})}
    found = list(client.listed("/plugins", query)) or list(client.listed("/plugins", {"id": name}))
    if len(found) != 1:
        versions = ", ".join(each["package_version"] for each in found)
        what = f"{name} has the versions {versions}: name one, {name}==…" if found else f"no plugin {name!r}"
        fail(f"{what}; see: outrider plugin list")
    return found[0]
