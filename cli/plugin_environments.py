"""`outrider plugin env`: the environments that plugins were installed into for the agent of this home."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Annotated

import psutil
import typer

from outrider.cli.exit_codes import ExitCode
from outrider.cli.home import find_home
from outrider.cli.output import console, fail, print_json, print_table
from outrider.cli.stores import open_database
from outrider.dispatcher.plugin_uploads import wagons_in_use
from outrider.plugins.wagons import Environment, EnvironmentStore, WagonError

KNOWN, RUNNING, UNUSED = "known plugin", "running", "unused"


def store() -> EnvironmentStore:
    """Return the store of the agent that runs in this home's own processes."""
    return EnvironmentStore(find_home().agent)


def uses(environments: Iterable[Environment]) -> dict[Path, str]:
    """Return why each environment is kept: a process runs in it, or a plugin or deployment names its wagon."""
    with closing(open_database()) as database, database.read() as connection:
        known = wagons_in_use(connection)
    commands = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    found = {}
    for each in environments:
        running = any(str(each.path) in command for command in commands)
        found[each.path] = RUNNING if running else KNOWN if each.sha256 in known else UNUSED
    return found


def list_environments(json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False) -> None:
    """List environments: one per version and archive of a plugin, side by side."""
    environments = store().list()
    used = uses(environments)
    if json:
        print_json(
            [
                {
                    "plugin": each.name,
                    "version": each.version,
                    "sha256": each.sha256,
                    "python": each.python_version,
                    "path": str(each.path),
                    "created_at": each.created_at,
                    "wheels": len(each.wheels),
                    "use": used[each.path],
                }
                for each in environments
            ]
        )
        return
    print_table(
        ("plugin", "version", "wagon", "python", "wheels", "made", "use"),
        (
            (
                each.name,
                each.version,
                each.sha256[:12],
                each.python_version,
                len(each.wheels),
                datetime.fromtimestamp(each.created_at).astimezone().strftime("%Y-%m-%d %H:%M"),
                used[each.path],
            )
            for each in environments
        ),
        empty="No environments: a plugin is installed when its first operation needs it.",
    )


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Remove environments that no known plugin, deployment or process uses, and unused wheels."""
    environments = store()
    used = uses(environments.list())
    going = sorted(path for path, use in used.items() if use == UNUSED)
    wheels = 0
    if not dry_run:
        try:
            collected = environments.gc([path for path, use in used.items() if use != UNUSED])
        except WagonError as error:
            fail(str(error), ExitCode.FAILED)
        going, wheels = sorted(collected.environments), len(collected.wheels)
    if json:
        print_json({"environments": [str(path) for path in going], "wheels": wheels, "dry_run": dry_run})
        return
    for path in going:
        console.print(f"{'would remove' if dry_run else 'removed'} {path}", soft_wrap=True)
    kept = len(used) - len(going)
    console.print(f"{len(going)} removed, {kept} kept, {wheels} wheels freed" if not dry_run else f"{kept} would stay")
