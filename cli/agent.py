"""`outrider agent …`: run an agent here, see the known ones."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from outrider.cli.output import print_json, print_table
from outrider.cli.stores import open_database
from outrider.cli.waterfall import seconds
from outrider.dispatcher.store import agents


def run(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Settings file (TOML).")] = None,
) -> None:
    """Run an agent in the foreground: what the service on a host runs. Further options are its settings."""
    from outrider.agent.__main__ import main

    arguments = ["--config", str(config)] if config is not None else []
    sys.exit(main([*arguments, *context.args]))


def list_agents(json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False) -> None:
    """List the agents that were heard of."""
    with closing(open_database()) as database, database.read() as connection:
        found = agents.listed(connection)
        now = database.now(connection)
    if json:
        print_json([asdict(agent) for agent in found])
        return
    print_table(
        ("agent", "last seen", "state", "running", "waiting", "host", "python", "version"),
        (_row(agent, now) for agent in found),
        empty="No agent was heard of yet. `outrider run` has one of its own while it runs.",
    )


def _row(agent: agents.Agent, now: float) -> tuple[Any, ...]:
    heartbeat = agent.heartbeat or {}
    host = heartbeat.get("host") or {}
    seen = "never" if agent.last_seen_at is None else f"{seconds(max(0.0, now - agent.last_seen_at))} ago"
    state = f"fenced: {agent.fenced}" if agent.fenced else heartbeat.get("state") or agent.state
    return (
        agent.id,
        seen,
        state,
        len(heartbeat.get("running") or ()),
        len(heartbeat.get("accepted") or ()),
        host.get("name") or host.get("hostname") or "–",
        heartbeat.get("python") or "–",
        heartbeat.get("version") or "–",
    )
