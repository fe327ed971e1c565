"""`outrider events`: what an execution's operations said, from the store."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import Annotated

import typer

from outrider.cli.execution import ExecutionId, Json, find, watch
from outrider.cli.follow import PAGE, line_of
from outrider.cli.output import console, print_json
from outrider.cli.progress import PlainDisplay
from outrider.cli.stores import open_database
from outrider.dispatcher.store import events as stored
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.events import Event

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on until the execution ends.")]


def events(execution_id: ExecutionId, follow: Follow = False, json: Json = False) -> None:
    """Print an execution's events and log lines; with --follow, until it ends."""
    if follow and not json:
        watch(execution_id)
    with closing(open_database()) as database:
        found = _all(database, find(database, execution_id).id)
    if json:
        print_json([asdict(each) for each in found])
        return
    display = PlainDisplay(console)
    for each in found:
        display.line(line_of(each))


def _all(database: Database, execution_id: str) -> list[Event]:
    found: list[Event] = []
    with database.read() as connection:
        while page := stored.after(connection, found[-1].id if found else 0, execution_id=execution_id, limit=PAGE):
            found += page
    return found
