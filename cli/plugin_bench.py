"""`outrider plugin run|test`: a plugin's source in an environment as agents make it, without dispatcher and broker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from outrider.agent.code import copy_code
from outrider.cli.exit_codes import ExitCode
from outrider.cli.home import Home, find_home
from outrider.cli.output import VALUES, console, errors, fail, key_values, print_fields, print_json
from outrider.cli.plugin import show_progress
from outrider.plugins.wagons import EnvironmentStore, WagonError, build_source, read_wagon

#: For the one download that tests need, once per Python: pytest itself.
TOOLS_SECONDS = 300.0
_RESCHEDULED = "rescheduled"


@dataclass(frozen=True)
class Bench:
    """An installed plugin, and the code that an agent puts on an operation's path."""

    python: Path
    code: Path

    def run(self, arguments: Sequence[str], *, first: Sequence[Path] = (), cwd: Path | None = None) -> int:
        """Run Python there, with the folders `first` on its path before everything else; return its exit code."""
        path = os.pathsep.join(str(folder) for folder in (*first, self.code))
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run([str(self.python), *arguments], env=environment, cwd=cwd, check=False).returncode


def bench_of(source: Path, *, quiet: bool = False) -> Bench:
    """Return the bench of a plugin: a folder, a one-file plugin or a wagon. Raises `WagonError`."""
    home = find_home().make()
    is_wagon = source.suffix == ".wgn"
    path = source if is_wagon else build_source(source, home.builds, progress=None if quiet else show_progress)
    wagon = read_wagon(path)
    environment = EnvironmentStore(home.agent).ensure(wagon.name, wagon.version, path, sha256=wagon.sha256)
    return Bench(environment.python, copy_code(home.agent / "sdk"))


def run(
    operation: Annotated[str, typer.Argument(help="module.function, such as my_plugin.operations.create.")],
    plugin: Annotated[Path, typer.Option(help="Folder, one-file plugin or wagon.", exists=True)] = Path(),
    inputs: Annotated[list[str] | None, typer.Option("--input", "-i", help=VALUES)] = None,
    properties: Annotated[
        list[str] | None, typer.Option("--property", "-p", help=f"Property of the made-up node: {VALUES}")
    ] = None,
    runtime: Annotated[list[str] | None, typer.Option("--runtime", "-r", help=f"Runtime property: {VALUES}")] = None,
    name: Annotated[
        str, typer.Option(help="The operation's name in its interface.")
    ] = "cloudify.interfaces.lifecycle.create",
    resources: Annotated[
        Path | None, typer.Option(help="Folder that stands for the blueprint's.", exists=True, file_okay=False)
    ] = None,
    context: Annotated[
        Path | None,
        typer.Option(help="JSON file with further arguments of sdk.testing.call: source, target …", exists=True),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Run one operation here, with a made-up context: no blueprint, no dispatcher, no agent."""
    given = {
        "operation": operation,
        "inputs": key_values(inputs or (), what="input"),
        "name": name,
        **_subject(properties, runtime, context),
    }
    if resources is not None:
        given["resources"] = str(resources.resolve())
    try:
        outcome = _outcome(bench_of(plugin, quiet=json_), given)
    except WagonError as error:
        fail(str(error))
    if json_:
        print_json(outcome)
    else:
        _show(outcome)
    raise typer.Exit(ExitCode.FAILED if outcome["error"] and outcome["verdict"] != _RESCHEDULED else ExitCode.SUCCESS)


def _subject(properties: list[str] | None, runtime: list[str] | None, context: Path | None) -> dict[str, Any]:
    """Return what the operation is about: a node of these properties, or what the file says."""
    subject: dict[str, Any] = {}
    if context is not None:
        try:
            subject = json.loads(context.read_text(encoding="utf-8"))
        except ValueError as error:
            fail(f"{context} is not JSON: {error}")
        if not isinstance(subject, dict):
            fail(f"{context}: an object is expected, with arguments of outrider.plugins.sdk.testing.call")
        ends = [end for end in ("source", "target") if isinstance(subject.get(end), dict)]
        if len(ends) == 1 or not set(subject).isdisjoint({"source", "target"} - set(ends)):
            fail(f"{context}: an operation of a relationship needs both source and target, each an object")
    if properties or "source" not in subject:
        subject.setdefault("properties", {}).update(key_values(properties or (), what="property"))
        subject.setdefault("runtime_properties", {}).update(key_values(runtime or (), what="runtime property"))
    return subject


def _outcome(bench: Bench, given: Mapping[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="outrider-run-") as folder:
        file = Path(folder) / "call.json"
        file.write_text(json.dumps(given), encoding="utf-8")
        code = bench.run(["-m", "outrider.plugins.sdk.bench", str(file)])
        outcome: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if "misnamed" in outcome:
        fail(outcome["misnamed"])
    if code != 0 or "verdict" not in outcome:
        fail(f"the operation's process ended with exit status {code} before it returned", ExitCode.FAILED)
    return outcome


def _show(outcome: Mapping[str, Any]) -> None:
    for line in outcome["logs"]:
        console.print(Text(f"{line['level']:<8}{line['message']}"), soft_wrap=True)
    error = outcome["error"]
    fields: dict[str, object] = {"verdict": outcome["verdict"]}
    if error is None:
        fields["value"] = json.dumps(outcome["value"])
    else:
        fields["error"] = f"{error['type']}: {error['message']}"
        fields["tried again"] = "yes" if error["recoverable"] else "no"
    for instance, stored in outcome["runtime_properties"].items():
        fields[f"runtime properties of {instance}"] = json.dumps(stored)
    print_fields(fields)
    if error is not None and error["traceback"] and outcome["verdict"] != _RESCHEDULED:
        errors.print(Text(error["traceback"].rstrip(), style="dim"), soft_wrap=True)


def run_tests(
    arguments: Annotated[
        list[str] | None, typer.Argument(help="For pytest, after --: -k name, -x, a file …", metavar="[-- ARGUMENTS]")
    ] = None,
    plugin: Annotated[Path, typer.Option(help="Folder of the plugin, or a one-file plugin.", exists=True)] = Path(),
) -> None:
    """Run a plugin's tests in an environment as agents make it: its own requirements, and the SDK."""
    folder = (plugin if plugin.is_dir() else plugin.parent).resolve()
    try:
        bench = bench_of(plugin)
    except WagonError as error:
        fail(str(error))
    tools = _test_tools(find_home())
    options = ["-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(folder), *(arguments or ())]
    # The source comes before the installed copy, which may be of yesterday's tests only.
    code = bench.run(options, first=(folder, tools), cwd=folder)
    raise typer.Exit(ExitCode.SUCCESS if code == 0 else ExitCode.FAILED)


def _test_tools(home: Home) -> Path:
    """Return a folder with pytest for this Python, fetched once through pip's index."""
    folder = home.path / "test-tools" / f"py{sys.version_info[0]}{sys.version_info[1]}"
    if (folder / "pytest").is_dir():
        return folder
    errors.print(Text("fetching pytest, once", style="dim"))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="aside-", dir=folder.parent) as aside:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run(
            [*command, "--target", f"{aside}/tools", "pytest>=7"],
            cwd="/",
            capture_output=True,
            text=True,
            timeout=TOOLS_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            fail(
                f"pytest cannot be fetched: {done.stderr.strip()}\nwithout an index, put it there by hand: "
                f"pip install --no-index --find-links WHEELS --target {folder} pytest",
                ExitCode.UNAVAILABLE,
            )
        Path(aside, "tools").rename(folder)
    return folder
