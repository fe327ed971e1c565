"""What all remote commands share: a connection to the manager in use, progress bars, waiting for an execution."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from outrider.cli import profiles
from outrider.cli.exit_codes import ExitCode
from outrider.cli.output import console, errors, fail
from outrider.cli.profiles import ProfileError
from outrider.cli.progress import Line, Snapshot, display_for
from outrider.cli.remote.client import ManagerClient, ManagerRefused, ManagerUnreachable

POLL_SECONDS = 0.5
PAGE = 1000
#: Statuses that an execution stays in.
ENDED = {"terminated": ExitCode.SUCCESS, "failed": ExitCode.FAILED, "cancelled": ExitCode.CANCELLED}
#: Statuses in which nothing happens for now.
LATER = frozenset({"queued", "scheduled"})
EVENT_LEVELS = {"task_failed": "error", "workflow_failed": "error", "task_rescheduled": "warning"}
#: What a proxy or a manager that starts answers: try again later.
_AWAY = frozenset({502, 503, 504})


@contextmanager
def connected() -> Iterator[ManagerClient]:
    """Connect to the manager in use; its errors end the command."""
    try:
        client = ManagerClient(profiles.load(profiles.in_use()))
    except ProfileError as error:
        fail(str(error))
    try:
        yield client
    except ManagerUnreachable as error:
        fail(str(error), ExitCode.UNAVAILABLE)
    except ManagerRefused as error:
        fail(str(error), ExitCode.UNAVAILABLE if error.status in _AWAY else ExitCode.BAD_INPUT)
    finally:
        client.close()


@contextmanager
def bar(title: str, total: int | None) -> Iterator[tuple[Callable[[int], None], Callable[[int], None]]]:
    """A progress bar on terminals; yields what sets the total, and what adds to what is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task(title, total=total)
        yield (
            lambda size: progress.update(task, total=size or None),
            lambda count: progress.update(task, advance=count),
        )


def uploaded(
    client: ManagerClient, method: str, path: str, file: Path, *, query: dict[str, object] | None = None, title: str
) -> Any:
    """Upload a file with a progress bar; return the answer."""
    with bar(title, file.stat().st_size) as (_begun, moved):
        return client.upload(method, path, file, query=query, moved=moved)


def watched(client: ManagerClient, execution: dict[str, Any], *, json: bool) -> dict[str, Any]:
    """Show an execution's lines until it ends; returns it as it is then. Ctrl-C leaves it running."""
    offset = 0
    with display_for(console, json=json) as display:
        try:
            while True:
                # Status before events: what is recorded before the end is shown before the end.
                execution = client.call("GET", f"/executions/{execution['id']}")
                offset = _show_lines(client, execution["id"], offset, display.line)
                if execution["status"] in ENDED or execution["status"] in LATER:
                    return execution
                display.snapshot(_snapshot(execution))
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            remedy = f"outrider execution cancel {execution['id']}"
            errors.print(f"It goes on without this terminal; stop it with: {remedy}")
            raise typer.Exit(ExitCode.SUCCESS) from None


def lines(client: ManagerClient, execution_id: str) -> Iterator[dict[str, Any]]:
    """Yield an execution's events and log lines."""
    return client.listed("/events", {"execution_id": execution_id, "_sort": "reported_timestamp"})


def line_of(record: dict[str, Any]) -> Line:
    """Return an event or a log record as it is shown."""
    place = record["node_instance_id"] or record["node_name"] or ""
    if record.get("target_id"):
        place = f"{place}->{record['target_id']}"
    operation = (record["operation"] or "").rpartition(".")[2]
    return Line(
        time=seconds_of(record["reported_timestamp"]),
        level=record.get("level") or EVENT_LEVELS.get(record.get("event_type") or "", "info"),
        source=f"{place}.{operation}" if place and operation else place,
        message=record["message"],
    )


def seconds_of(text: str) -> float:
    """Return seconds since the epoch for a time of the API."""
    return datetime.fromisoformat(text).timestamp()


def moment(text: str | None) -> str:
    """Write a time of the API as local date and time."""
    return "–" if text is None else datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _show_lines(client: ManagerClient, execution_id: str, offset: int, show: Callable[[Line], None]) -> int:
    while True:
        query = {"execution_id": execution_id, "_sort": "reported_timestamp", "_offset": offset, "_size": PAGE}
        items = client.call("GET", "/events", query=query)["items"]
        for item in items:
            if item.get("event_type") != "sending_task":
                show(line_of(item))
        offset += len(items)
        if len(items) < PAGE:
            return offset


def _snapshot(execution: dict[str, Any]) -> Snapshot:
    began = execution["started_at"] or execution["created_at"]
    return Snapshot(
        execution=execution["id"],
        workflow=execution["workflow_id"],
        status=execution["status"],
        finished=execution["finished_operations"],
        total=execution["total_operations"],
        elapsed_seconds=max(0.0, datetime.now(UTC).timestamp() - seconds_of(began)),
    )
