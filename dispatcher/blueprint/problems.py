"""Collects the findings of one pass, so that a person sees all mistakes at once.

Every step of the parser is given one `Problems` and goes on after a finding. A name that is broken is remembered, so
that what refers to it does not produce a second finding for the same mistake.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Optional

from outrider.dispatcher.blueprint.errors import BlueprintError
from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import Mark

#: Nobody reads more; a file that is wrong everywhere shows its first mistakes.
MOST_FINDINGS = 200
_WORD = re.compile(r"[^\s,:\[\]{}]+")


class Problems:
    """The findings so far."""

    def __init__(self) -> None:
        self._found: dict[tuple[object, ...], BlueprintError] = {}
        self._order: dict[str, int] = {}
        #: (section, name) of elements that have a finding already.
        self.broken: set[tuple[str, str]] = set()

    def __bool__(self) -> bool:
        return bool(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def add(self, kind: Kind, message: str, *, at: Optional[Mark] = None, suggestion: Optional[str] = None) -> None:
        """Record a finding; the same finding at the same place is recorded once."""
        if len(self._found) >= MOST_FINDINGS:
            return
        if at is None:
            error = BlueprintError(kind=kind, message=message, suggestion=suggestion)
        else:
            line = at.source.line(at.line)
            error = BlueprintError(
                kind=kind,
                message=message,
                file=at.source.name,
                line=at.line,
                column=at.column,
                source_line=line,
                width=_width(line, at.column),
                import_chain=at.source.chain,
                suggestion=suggestion,
            )
            self._order.setdefault(at.source.name, len(self._order))
        self._found.setdefault((kind, error.file, error.line, error.column, message), error)

    def errors(self) -> tuple[BlueprintError, ...]:
        """Return the findings, by file in the order of reading, then by line."""
        return tuple(
            sorted(self._found.values(), key=lambda e: (self._order.get(e.file, len(self._order)), e.line, e.column))
        )


def _width(line: str, column: int) -> int:
    if line[column - 1 : column] in {'"', "'"}:
        end = line.find(line[column - 1], column)
        return end - column + 2 if end > 0 else 1
    match = _WORD.match(line, column - 1)
    return len(match.group()) if match else 1


def nearest(name: str, known: Iterable[str]) -> Optional[str]:
    """Return the known name that looks most like `name`, or None when nothing is close."""
    matches = difflib.get_close_matches(str(name), [str(item) for item in known], n=1, cutoff=0.6)
    return matches[0] if matches else None
