"""Live progress of an execution: which operation runs on which host, what it waits for, for how long.

On a terminal the running operations stand below the log and are redrawn; elsewhere each event is a plain line. Both
are fed the same values, `Snapshot` and `Line`, by `watch`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from outrider.cli.waterfall import seconds

#: More running operations than this are summed up in one line.
MAX_SHOWN = 8

LEVEL_STYLES = {"debug": "dim", "info": "", "warning": "yellow", "error": "red", "critical": "bold red"}


@dataclass(frozen=True)
class Running:
    """An operation under way."""

    operation: str
    instance: str
    agent: str
    #: ``waiting in the queue``, ``installing plugin …``, ``running``, ``retry in 3 s`` ….
    doing: str
    elapsed_seconds: float


@dataclass(frozen=True)
class Snapshot:
    """An execution at one moment."""

    execution: str
    workflow: str
    status: str
    finished: int
    total: int
    elapsed_seconds: float
    running: tuple[Running, ...] = ()


@dataclass(frozen=True)
class Line:
    """A log record or an event, as it is shown."""

    time: float
    level: str
    #: ``web_a1b2c3.create``; empty for the workflow's own events.
    source: str
    message: str


class Display(Protocol):
    """Shows an execution while it runs."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
    def line(self, line: Line) -> None:
        """Show a log record or an event."""

    def snapshot(self, snapshot: Snapshot) -> None:
        """Show how far the execution is."""


def clock(time: float) -> str:
    """Write a moment as local time of day."""
    return datetime.fromtimestamp(time, UTC).astimezone().strftime("%H:%M:%S")


class LiveDisplay:
    """Redraws the operations that are under way below the log; for terminals."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def line(self, line: Line) -> None:
        """Print the line above what is redrawn."""
        style = LEVEL_STYLES.get(line.level, "")
        source = f"[cyan]{escape(line.source)}[/cyan]  " if line.source else ""
        body = f"[{style}]{escape(line.message)}[/{style}]" if style else escape(line.message)
        self._console.print(f"[dim]{clock(line.time)}[/dim]  {source}{body}", highlight=False)

    def snapshot(self, snapshot: Snapshot) -> None:
        """Redraw."""
        self._live.update(draw(snapshot))


class PlainDisplay:
    """Prints a line per event; for pipes, files and jobs."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing is open."""

    def line(self, line: Line) -> None:
        """Print one line, complete in itself."""
        source = f"[{line.source}] " if line.source else ""
        level = f"{line.level.upper()} " if line.level not in {"", "info"} else ""
        text = f"{clock(line.time)} {level}{source}{line.message}"
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def snapshot(self, snapshot: Snapshot) -> None:
        """Lines say enough."""


class SilentDisplay(PlainDisplay):
    """Shows nothing; for ``--json``, which prints one object at the end."""

    def line(self, line: Line) -> None:
        """Say nothing."""


def draw(snapshot: Snapshot) -> RenderableType:
    """Draw one line for the execution and one for each operation under way."""
    head = Table.grid(padding=(0, 1))
    head.add_row(
        Spinner("dots"),
        Text(f"{snapshot.workflow} {snapshot.status}", style="bold"),
        ProgressBar(total=max(1, snapshot.total), completed=snapshot.finished, width=24),
        Text(f"{snapshot.finished} of {snapshot.total}  {seconds(snapshot.elapsed_seconds)}", style="dim"),
    )
    table = Table.grid(padding=(0, 2))
    for running in snapshot.running[:MAX_SHOWN]:
        table.add_row(
            Text(f"  {running.instance}", style="cyan"),
            running.operation.rpartition(".")[2],
            Text(f"on {running.agent}", style="dim"),
            running.doing,
            Text(seconds(running.elapsed_seconds), style="dim"),
        )
    hidden = len(snapshot.running) - MAX_SHOWN
    if hidden > 0:
        table.add_row(Text(f"  … and {hidden} more", style="dim"), "", "", "", "")
    return Group(head, table)


def display_for(console: Console, *, json: bool, quiet: bool = False) -> Display:
    """Choose what fits the output."""
    if json or quiet:
        return SilentDisplay(console)
    return LiveDisplay(console) if console.is_terminal else PlainDisplay(console)
