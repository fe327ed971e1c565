"""`outrider plugin …`: build wagons, look into them, and make them known to this dispatcher."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from outrider.cli.exit_codes import ExitCode
from outrider.cli.home import find_home
from outrider.cli.output import console, errors, fail, print_fields, print_json, print_table
from outrider.cli.stores import open_database, open_files
from outrider.dispatcher import plugin_uploads
from outrider.dispatcher.errors import AlreadyExists, DispatcherError
from outrider.dispatcher.store import plugins
from outrider.plugins import wagons
from outrider.plugins.wagons import Progress, Wagon, WagonError

WagonFile = Annotated[Path, typer.Argument(help="A .wgn file.", exists=True, dir_okay=False, metavar="WAGON")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def show_progress(progress: Progress) -> None:
    """Say on standard error what a long piece of work does."""
    text = f"{progress.stage} {progress.done}/{progress.total} {progress.detail}".rstrip()
    errors.print(Text(text, style="dim"), soft_wrap=True)


def build(
    source: Annotated[str, typer.Argument(help="A folder, a one-file plugin (.py), or a requirement: name==1.2")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the wagons.")] = Path(),
    python: Annotated[list[str] | None, typer.Option(help="Version (3.11) or path; repeat for several.")] = None,
    platform: Annotated[list[str] | None, typer.Option(help="Such as manylinux_2_28_x86_64; repeatable.")] = None,
    constraints: Annotated[Path | None, typer.Option(help="pip constraints file.", exists=True)] = None,
    lock: Annotated[Path | None, typer.Option(help="Lock file: used if it is there, else written.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the files' names.")] = False,
) -> None:
    """Build a wagon: the plugin with all its dependencies, to be installed offline."""
    path = Path(source)
    try:
        known = wagons.read_lock(lock) if lock is not None and lock.exists() else None
        built = wagons.build(
            path if path.exists() else source,
            output_dir=output,
            pythons=python or (),
            platforms=platform or (),
            constraints=constraints,
            lock=known,
            progress=None if quiet else show_progress,
        )
        if lock is not None and known is None:
            wagons.write_lock(lock, built.lock)
    except WagonError as error:
        fail(str(error))
    # A plugin of pure wheels gives the same wagon for several platforms.
    for made in dict.fromkeys(str(wagon.path) for wagon in built.wagons):
        console.print(made, soft_wrap=True)


def description(wagon: Wagon) -> dict[str, object]:
    """Return what `show` prints of a wagon."""
    return {
        "name": wagon.name,
        "version": wagon.version,
        "platform": wagon.supported_platform,
        "pythons": ", ".join(wagon.pythons) or "any",
        "size": f"{wagon.size_bytes / 1e6:.1f} MB",
        "sha256": wagon.sha256,
        "wheels": len(wagon.wheels),
    }


def show(path: WagonFile, json: Json = False) -> None:
    """Show what a wagon holds."""
    try:
        wagon = wagons.read_wagon(path)
    except WagonError as error:
        fail(str(error))
    wheels = [{"wheel": wheel.name.filename, "size_bytes": wheel.size_bytes} for wheel in wagon.wheels]
    if json:
        print_json({**description(wagon), "wheels": wheels, "metadata": wagon.metadata})
        return
    print_fields(description(wagon))
    console.print()
    print_table(("wheel", "bytes"), (tuple(wheel.values()) for wheel in wheels), empty="It holds no wheel.")


def verify(path: WagonFile) -> None:
    """Check an archive and every file in its wheels against the hashes that they carry."""
    try:
        verification = wagons.verify_wagon(path)
    except WagonError as error:
        fail(str(error), ExitCode.FAILED)
    for problem in verification.problems:
        errors.print(str(problem), soft_wrap=True)
    if verification.problems:
        raise typer.Exit(ExitCode.FAILED)
    console.print(f"{path.name}: {len(verification.wagon.wheels)} wheels, all files as recorded")


def install(
    path: Annotated[Path, typer.Argument(help="A wagon, or a folder or .py file to build one from.", exists=True)],
    yaml: Annotated[list[Path] | None, typer.Option("--yaml", "-y", exists=True, help="plugin.yaml beside it.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Forget what is known of this very version.")] = False,
) -> None:
    """Make a plugin known: blueprints may import it as plugin:NAME, agents fetch it when a task needs it."""
    given = {file.name: file.read_text(encoding="utf-8") for file in yaml} if yaml else None
    with closing(open_database()) as database:
        try:
            wagon = path if path.suffix == ".wgn" else wagons.build_source(path, find_home().builds)
            plugin = plugin_uploads.register(database, open_files(), wagon, yamls=given, replace=replace)
        except AlreadyExists as error:
            fail(f"{error}; raise the plugin's version, or put this one in its place: --replace")
        except (WagonError, DispatcherError) as error:
            fail(str(error))
    console.print(
        f"{plugin.package_name} {plugin.package_version} is known to {find_home().path}, "
        f"with {len(plugin.wagons)} wagon{'s' if len(plugin.wagons) != 1 else ''}",
        soft_wrap=True,
    )


def list_plugins(json: Json = False) -> None:
    """List the plugins that are known."""
    with closing(open_database()) as database, database.read() as connection:
        found = plugins.listed(connection)
    if json:
        print_json([asdict(plugin) for plugin in found])
        return
    print_table(
        ("package", "version", "wagons", "descriptions"),
        (
            (
                plugin.package_name,
                plugin.package_version,
                "\n".join(wagon.filename for wagon in plugin.wagons),
                ", ".join(plugin.yamls) or "–",
            )
            for plugin in found
        ),
        empty="No plugins yet. Make one known: outrider plugin install NAME.wgn",
    )


def delete(name: str, version: str) -> None:
    """Forget a plugin's version; environments on agents stay until they are collected."""
    with closing(open_database()) as database, database.begin() as connection:
        for plugin in plugins.listed(connection, package_name=name):
            if plugin.package_version == version:
                plugins.delete(connection, plugin.id)
                console.print(f"forgot {name} {version}")
                return
    fail(f"no plugin {name} {version}; see: outrider plugin list")
