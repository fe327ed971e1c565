"""Values that remember where they were written.

The tree of a blueprint is made of `Map` and `Seq`: a real ``dict`` and a real ``list`` (so that all later code reads
them plainly), each with the place of its entries beside it. Scalars are plain Python values; their place is kept by
the container. Text becomes a tree in `text.py`; merging keeps places, so an error in a merged section still points
into the right file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Optional, Union


@dataclass(frozen=True, eq=False)
class Source:
    """One file that was read: its name as people know it, its text, and how it came to be imported."""

    name: str
    text: str
    chain: tuple[str, ...] = ()
    #: May use features of every version (the built-in types, imported blueprints).
    any_version: bool = False
    #: Keys that stand twice in one mapping (the later one counts, as everywhere in YAML); `lint` warns of them.
    duplicates: list[tuple[str, Mark]] = field(default_factory=list)

    def line(self, number: int) -> str:
        """Return the text of a line, counted from 1; empty when there is none."""
        lines = self.text.split("\n", number)
        return lines[number - 1].rstrip("\r") if 0 < number <= len(lines) else ""


class Mark(NamedTuple):
    """A place in a source; line and column count from 1."""

    source: Source
    line: int
    column: int


#: Places are kept as plain tuples, because a blueprint has as many as it has lines; who asks for one gets a `Mark`.
#: Source, line and column of a value.
Place = tuple[Source, int, int]
#: Source, line and column of a key, line and column of its value.
Entry = tuple[Source, int, int, int, int]


class Map(dict[str, Any]):
    """A mapping with places; `entries_at` goes by key."""

    __slots__ = ("at", "entries_at")

    def __init__(self, at: Optional[Place] = None) -> None:
        self.at = at
        self.entries_at: dict[str, Entry] = {}

    @property
    def mark(self) -> Optional[Mark]:
        """Where the mapping was written."""
        return None if self.at is None else Mark(*self.at)

    def put(self, key: str, value: object, *, origin: Mapping[str, Any]) -> None:
        """Set a key to a value of another map, and take its place along."""
        self[key] = value
        if isinstance(origin, Map) and key in origin.entries_at:
            self.entries_at[key] = origin.entries_at[key]


class Seq(list[Any]):
    """A list with places; `items_at` goes by index."""

    __slots__ = ("at", "items_at")

    def __init__(self, at: Optional[Place] = None) -> None:
        self.at = at
        self.items_at: list[Place] = []

    @property
    def mark(self) -> Optional[Mark]:
        """Where the list was written."""
        return None if self.at is None else Mark(*self.at)


def key_mark(container: object, key: str) -> Optional[Mark]:
    """Return where a key of a mapping was written, or the mapping's own place."""
    if not isinstance(container, Map):
        return None
    entry = container.entries_at.get(key)
    return container.mark if entry is None else Mark(*entry[:3])


def value_mark(container: object, key: Union[str, int]) -> Optional[Mark]:
    """Return where the value of a key or an index was written, or the container's own place."""
    if isinstance(container, Map) and isinstance(key, str):
        entry = container.entries_at.get(key)
        return container.mark if entry is None else Mark(entry[0], entry[3], entry[4])
    if isinstance(container, Seq) and isinstance(key, int):
        return Mark(*container.items_at[key]) if key < len(container.items_at) else container.mark
    return None


def plain(value: Any) -> Any:
    """Return a deep copy made of ordinary dicts and lists."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value
