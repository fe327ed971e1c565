"""`outrider agent show`: everything that is known of one agent, from the store, the broker, and its last heartbeat."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

from outrider.cli.local import transport_of
from outrider.cli.output import console, fail, print_fields, print_json, print_table
from outrider.cli.settings import CommandSettings, command_settings
from outrider.cli.stores import open_database
from outrider.cli.waterfall import seconds
from outrider.dispatcher.errors import NotFound
from outrider.dispatcher.store import agents, progress
from outrider.dispatcher.store.agents import Agent
from outrider.dispatcher.store.progress import OpenOperation
from outrider.messaging import topology
from outrider.messaging.errors import MessagingError

AgentId = Annotated[str, typer.Argument(help="The agent's id, as `outrider agent list` shows it.", metavar="AGENT")]


@dataclass(frozen=True)
class AgentView:
    """What is known of an agent at one moment."""

    agent: Agent
    #: Of the moment at which the rest was read, by the store's clock.
    now: float
    operations: tuple[OpenOperation, ...]
    #: Tasks that wait at the broker; None where that cannot be asked, with the reason.
    queue_depth: int | None
    queue_problem: str = ""


def show(
    agent_id: AgentId, json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False
) -> None:
    """Show everything that is known of one agent: version, host, lease, operations, what waits for it."""
    settings = command_settings()
    view = look_at(settings, agent_id)
    if json:
        print_json(
            {
                **asdict(view.agent),
                "now": view.now,
                "lease_ends_in_seconds": lease_left(view, settings.engine.lease_seconds),
                "queue_depth": view.queue_depth,
                "operations": [asdict(each) for each in view.operations],
            }
        )
        return
    print_fields(fields_of(view, settings.engine.lease_seconds))
    if view.operations:
        console.print()
        doing: Mapping[str, str] = (view.agent.heartbeat or {}).get("doing") or {}
        print_table(
            ("operation", "of", "state", "since", "execution", "doing"),
            (
                (
                    each.operation,
                    each.instance or "–",
                    each.state.value,
                    seconds(max(0.0, view.now - (each.started_at or each.created_at))),
                    each.execution_id[:8],
                    doing.get(each.attempt_id, "–"),
                )
                for each in view.operations
            ),
            empty="",
        )


def look_at(settings: CommandSettings, agent_id: str) -> AgentView:
    """Return what is known, or end the command if nothing is."""
    with closing(open_database()) as database, database.read() as connection:
        try:
            agent = agents.get(connection, agent_id)
        except NotFound:
            known = ", ".join(each.id for each in agents.listed(connection)) or "none"
            fail(f"no agent {agent_id!r} was heard of; known are: {known}")
        now = database.now(connection)
        operations = tuple(progress.operations_on(connection, agent_id))
    if settings.embedded:
        return AgentView(agent, now, operations, None, "the broker lives in the process that runs executions")
    try:
        with closing(transport_of(settings, name="outrider agent show")) as transport:
            depth = transport.queue_depth(topology.agent_queue(agent_id))
    except MessagingError as error:
        return AgentView(agent, now, operations, None, str(error))
    return AgentView(agent, now, operations, depth, "" if depth is not None else "the broker has no queue for it")


def lease_left(view: AgentView, lease_seconds: float) -> float | None:
    """Return for how long its attempts are still believed alive; None if it was never heard of."""
    seen = view.agent.last_seen_at
    return None if seen is None else max(0.0, lease_seconds - (view.now - seen))


def fields_of(view: AgentView, lease_seconds: float) -> dict[str, object]:
    """Return what is shown above the operations, by its heading."""
    agent, left = view.agent, lease_left(view, lease_seconds)
    beat: Mapping[str, Any] = agent.heartbeat or {}
    host: Mapping[str, Any] = beat.get("host") or {}
    heard = "never"
    if agent.last_seen_at is not None:
        over = "its lease is over" if not left else f"its lease ends in {left:.0f} s"
        heard = f"{seconds(max(0.0, view.now - agent.last_seen_at))} ago; {over}"
    counts = ", ".join(f"{len(beat.get(name) or ())} {name}" for name in ("running", "accepted", "reporting"))
    return {
        "agent": agent.id,
        "state": f"fenced: {agent.fenced}" if agent.fenced else beat.get("state") or agent.state,
        "heard of": heard,
        "version": f"{beat.get('version', '–')}, Python {beat.get('python', '–')}",
        "host": f"{host.get('name', '–')}, {beat.get('platform', '–')}, {host.get('cpus', '–')} processors",
        "load": (beat.get("load") or {}).get("1m", "–"),
        "attempts": f"{counts}; {beat.get('slots', '–')} slots",
        "queue": f"{view.queue_depth} tasks wait" if view.queue_depth is not None else f"– ({view.queue_problem})",
        "journal": f"epoch {agent.journal_epoch or '–'}, sequence {agent.journal_sequence}",
        "machine": f"{beat.get('machine_id', '–')}, boot {beat.get('boot_id', '–')}",
    }
