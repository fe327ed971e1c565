"""Draws where the time of each operation went: queue, plugin install, start, run, return.

Pure: `outrider run`, `execution show` and the manager's page give it `Span` values and print what it returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

#: Stage -> (character, colour), in the order in which an attempt passes through them.
STAGES = {
    "queue": ("░", "grey50"),
    "install": ("▓", "magenta"),
    "start": ("▒", "yellow"),
    "run": ("█", "green"),
    "return": ("░", "cyan"),
}


@dataclass(frozen=True)
class Span:
    """One attempt: when it was sent and how long each stage took, in seconds."""

    operation: str
    instance: str
    agent: str
    #: Since the execution's start, or its last resume; negative for what was sent before that.
    begins: float
    queue: float = 0.0
    install: float = 0.0
    start: float = 0.0
    run: float = 0.0
    return_: float = 0.0
    succeeded: bool = True
    #: More than 1 for a retry.
    attempt: int = 1

    @property
    def stages(self) -> tuple[tuple[str, float], ...]:
        """The stages with their durations, in order."""
        values = (self.queue, self.install, self.start, self.run, self.return_)
        return tuple(zip(STAGES, values, strict=True))

    @property
    def ends(self) -> float:
        """When the result was recorded, since the execution's start."""
        return self.begins + sum(duration for _, duration in self.stages)


def seconds(value: float) -> str:
    """Write a duration for people: 3 ms, 1.24 s, 2 min 05 s."""
    if value < 0.9995:
        return f"{value * 1000:.0f} ms" if value >= 0.0095 else f"{value * 1000:.1f} ms"
    if value < 60:
        return f"{value:.2f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02} s"


def bar(span: Span, *, total: float, width: int) -> Text:
    """Draw one span on a line of `width` characters that stands for `total` seconds."""
    scale = width / total if total > 0 else 0.0
    moments = [span.begins]
    for _, duration in span.stages:
        moments.append(moments[-1] + duration)
    # Ends are rounded, not lengths: neighbours neither overlap nor leave gaps. None is before 0.
    columns = [max(0, min(width, round(moment * scale))) for moment in moments]
    line = Text(" " * columns[0])
    for (stage, _), (left, right) in zip(span.stages, pairwise(columns), strict=True):
        character, colour = STAGES[stage]
        line.append(character * (right - left), style=colour if span.succeeded else "red")
    if columns[-1] == columns[0]:
        line.append("▏", style="green" if span.succeeded else "red")
    return line


def waterfall(spans: Sequence[Span], *, width: int) -> RenderableType:
    """Draw all spans, a legend and the sum of each stage."""
    if not spans:
        return Text("no operation ran")
    before = [span for span in spans if span.ends <= 0.0 and span.begins < 0.0]
    if before:
        since = [span for span in spans if span.begins >= 0.0 or span.ends > 0.0]
        drawn = waterfall(since, width=width) if since else Text("no operation ran since the resume")
        return Group(summary(before), drawn)
    total = max(span.ends for span in spans)
    bar_width = max(20, min(72, width - 66))
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", expand=False)
    table.add_column("operation", no_wrap=True, max_width=40)
    table.add_column("instance", no_wrap=True, max_width=22)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column(f"0 … {seconds(total)}", no_wrap=True, min_width=bar_width)
    for span in sorted(spans, key=lambda item: (item.begins, item.operation)):
        name = span.operation if span.attempt == 1 else f"{span.operation} (try {span.attempt})"
        style = "" if span.succeeded else "red"
        line = bar(span, total=total, width=bar_width)
        table.add_row(Text(name, style=style), span.instance, seconds(span.ends - span.begins), line)
    return Group(table, legend(spans))


def summary(spans: Sequence[Span]) -> Text:
    """Tell in a line what ran before the resume that the picture begins with."""
    failed = sum(not span.succeeded for span in spans)
    count = f"{len(spans)} attempt{'' if len(spans) == 1 else 's'}, {failed} failed"
    spent = seconds(sum(span.ends - span.begins for span in spans))
    since = seconds(-max(span.ends for span in spans))
    return Text(f"before the resume: {count}, {spent} in all; the last one ended {since} earlier")


def legend(spans: Sequence[Span]) -> Text:
    """Name the stages with the sum of each."""
    line = Text("\n")
    for number, (stage, (character, colour)) in enumerate(STAGES.items()):
        spent = sum(span.stages[number][1] for span in spans)
        line.append(f"{character * 2} ", style=colour)
        line.append(f"{stage} {seconds(spent)}   ")
    return line
