"""Writes what operations left behind besides their log: tracebacks, and the end of what they printed.

For `outrider execution show`: the log tells that an operation failed and why, this tells where in its code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from outrider.dispatcher.store.progress import Said

#: Lines of each stream that are shown unless all of what is kept is asked for.
SHOWN_LINES = 20
_WELL = ("succeeded", "rescheduled")


def lines_of(found: Sequence[Said], *, everything: bool) -> Iterator[str]:
    """Write what failed operations left behind, or what all did.

    Without `everything` only the last lines of what they printed are written.
    """
    for said in found:
        if said.verdict in _WELL and not everything:
            continue
        yield ""
        of = f" of {said.instance}" if said.instance else ""
        yield f"{said.operation.rpartition('.')[2]}{of} {said.verdict.replace('_', ' ')}:"
        if said.traceback:
            yield from _indented(said.traceback.rstrip().split("\n"))
        for name, text in (("standard output", said.stdout_tail), ("standard error", said.stderr_tail)):
            if text:
                yield from _printed(name, text.rstrip().split("\n"), everything=everything)


def _printed(name: str, lines: list[str], *, everything: bool) -> Iterator[str]:
    shown = lines if everything else lines[-SHOWN_LINES:]
    some = "" if len(shown) == len(lines) else f", the last {len(shown)} lines (--output shows all that is kept)"
    yield f"  printed to {name}{some}:"
    yield from _indented(shown)


def _indented(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield f"    {line}".rstrip()
