"""`outrider plugin check`: does a wagon install here, or on the hosts of agents? All reasons if it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Annotated, Any

import typer

from outrider.cli import profiles
from outrider.cli.chosen_agents import NoAgents, choose
from outrider.cli.exit_codes import ExitCode
from outrider.cli.output import console, fail
from outrider.cli.plugin import WagonFile
from outrider.cli.stores import open_database
from outrider.dispatcher.store import agents
from outrider.plugins import wagons
from outrider.plugins.wagons import Target, Wagon, WagonError


def check(
    path: WagonFile,
    python: Annotated[str | None, typer.Option(help="Interpreter of the host; default, this one.")] = None,
    agent: Annotated[
        list[str] | None, typer.Option(help="Instead, on this agent's host; a pattern (web-*) or several are fine.")
    ] = None,
) -> None:
    """Tell whether a wagon installs on this host, or on those of agents, with all reasons if it does not."""
    if agent and profiles.in_use() != profiles.LOCAL:
        fail("--agent needs the dispatcher's own store: run this on its machine, with the profile local")
    try:
        wagon = wagons.read_wagon(path)
        targets = _of_agents(agent) if agent else {"": wagons.probe(python) if python else wagons.probe()}
        fits = [_fits(wagon, target, host=host) for host, target in targets.items()]
    except (WagonError, NoAgents) as error:
        fail(str(error), ExitCode.FAILED)
    if not all(fits):
        raise typer.Exit(ExitCode.FAILED)


def _fits(wagon: Wagon, target: Target | None, *, host: str) -> bool:
    """Say how a wagon and a host go together."""
    before = f"{host}: " if host else ""
    if target is None:
        console.print(f"{before}it has not reported yet which Python and platform it has", soft_wrap=True)
        return False
    reasons = wagons.check(wagon, target)
    for reason in reasons:
        console.print(f"{before}{reason.subject}: {reason.text}", soft_wrap=True)
    for requirement in () if reasons else wagons.missing_requirements(wagon, target):
        console.print(f"{before}note: {requirement}", soft_wrap=True)
    if not reasons:
        console.print(f"{before}{wagon.filename} installs on {target.description}", soft_wrap=True)
    return not reasons


def _of_agents(wanted: Sequence[str]) -> dict[str, Target | None]:
    """Return what agents last said of their hosts; those that are silent now count, too. Raises `NoAgents`."""
    with closing(open_database()) as database, database.read() as connection:
        known = agents.listed(connection)
        chosen = choose(known, wanted, every=False, central="", now=database.now(connection))
    heartbeats = {each.id: each.heartbeat for each in known}
    # What a host is does not change by its agent's silence.
    names = [*chosen.agents, *chosen.silent]
    unknown = [name for name in names if name not in heartbeats]
    if unknown:
        raise NoAgents(f"no agent {', '.join(unknown)} is known; known are: {', '.join(sorted(heartbeats)) or 'none'}")
    return {name: target_of(heartbeats[name]) for name in names}


def target_of(heartbeat: Mapping[str, Any] | None) -> Target | None:
    """Return what wheels have to fit on an agent's host; None if it has not said so."""
    tags = list((heartbeat or {}).get("tags") or ())
    try:
        interpreter, system, libc = tags
        major, minor, micro = (heartbeat or {})["python"].split(".")[:3]
        return Target(
            implementation="cpython" if interpreter.startswith("cp") else "pypy",
            python=(int(major), int(minor), int("".join(filter(str.isdigit, micro)))),
            platform=system.replace("_", "-", 1),
            libc=libc,
            bits=32 if system.endswith(("_i686", "_armv7l")) else 64,
        )
    except (KeyError, ValueError):
        return None
