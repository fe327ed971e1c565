"""`outrider events` with a manager."""

from __future__ import annotations

from outrider.cli.events import Follow
from outrider.cli.execution import ExecutionId, Json
from outrider.cli.output import console, print_json
from outrider.cli.progress import PlainDisplay
from outrider.cli.remote.execution import conclude, find
from outrider.cli.remote.session import connected, line_of, lines, watched


def events(execution_id: ExecutionId, follow: Follow = False, json: Json = False) -> None:
    """Print an execution's events and log lines; with --follow, until it ends."""
    with connected() as client:
        execution = find(client, execution_id)
        if follow:
            conclude(watched(client, execution, json=json), json=json)
        found = list(lines(client, execution["id"]))
    if json:
        print_json(found)
        return
    display = PlainDisplay(console)
    for each in found:
        display.line(line_of(each))
