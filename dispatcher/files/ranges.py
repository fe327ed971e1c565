"""The Range header of RFC 9110 §14, as far as a client needs it that takes up a broken transfer: one range of bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ONE_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Bytes from `start` up to, but without, `end`."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """Number of bytes."""
        return self.end - self.start


class Unsatisfiable(Exception):
    """The range lies outside of the content (HTTP 416)."""


def parse_range(header: str | None, *, size: int) -> Span | None:
    """Return what the header asks for, or None for the whole content.

    Malformed headers and several ranges are ignored, as the RFC allows. Raises Unsatisfiable.
    """
    found = _ONE_RANGE.fullmatch(header) if header else None
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        suffix = int(found[2])
        if suffix == 0 or size == 0:
            raise Unsatisfiable
        return Span(start=max(0, size - suffix), end=size)
    start = int(found[1])
    last = int(found[2]) if found[2] else size - 1
    if found[2] and last < start:
        return None
    if start >= size:
        raise Unsatisfiable
    return Span(start=start, end=min(last + 1, size))
