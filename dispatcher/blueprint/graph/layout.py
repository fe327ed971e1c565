"""Where boxes stand: containers hold their children, and what others need stands below them, in layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from outrider.dispatcher.blueprint.graph.topology import Box, Picture

#: Pixels.
GAP, PADDING, TITLE, LINE, LETTER = 28, 14, 40, 34, 7.2
LEAST_WIDTH = 120


@dataclass(frozen=True)
class Placed:
    """A box with its place; `x` and `y` count from the picture's corner."""

    box: Box
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """All boxes, containers before what they hold, and the size of the picture."""

    placed: tuple[Placed, ...]
    width: float
    height: float


def lay_out(picture: Picture) -> Layout:
    """Return the places of all boxes."""
    needs: dict[str, set[str]] = {}
    chains = _chains(picture.boxes)
    for arrow in picture.arrows:
        pair = _siblings(chains.get(arrow.source, ()), chains.get(arrow.target, ()))
        if pair:
            needs.setdefault(pair[0], set()).add(pair[1])
    placed: list[Placed] = []
    width, height = _place_all(picture.boxes, PADDING, PADDING, needs, placed)
    return Layout(tuple(placed), width + 2 * PADDING, height + 2 * PADDING)


def _chains(boxes: Iterable[Box], above: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """Return box -> its containers from the outside in, itself last."""
    found: dict[str, tuple[str, ...]] = {}
    for box in boxes:
        found[box.name] = (*above, box.name)
        found.update(_chains(box.children, found[box.name]))
    return found


def _siblings(source: tuple[str, ...], target: tuple[str, ...]) -> tuple[str, str] | None:
    """Return the two boxes of one container between which an arrow runs in the end."""
    for one, other in zip(source, target, strict=False):
        if one != other:
            return one, other
    return None


def _place_all(
    boxes: Iterable[Box], x: float, y: float, needs: Mapping[str, set[str]], placed: list[Placed]
) -> tuple[float, float]:
    """Place boxes in rows from (x, y) on; return the width and height that they take."""
    width = 0.0
    top = y
    for row in _rows(list(boxes), needs):
        left, tallest = x, 0.0
        for box in row:
            index = len(placed)
            inner_width, inner_height = _place_all(box.children, left + PADDING, top + TITLE, needs, placed)
            own = max(LEAST_WIDTH, LETTER * max(len(box.name) + len(box.count) + 1, len(box.type)) + 2 * PADDING)
            own = max(own, inner_width + 2 * PADDING)
            tall = TITLE + (inner_height + PADDING if box.children else 4)
            placed.insert(index, Placed(box, left, top, own, tall))
            left += own + GAP
            tallest = max(tallest, tall)
        width = max(width, left - GAP - x)
        top += tallest + LINE
    return width, max(0.0, top - LINE - y)


def _rows(boxes: list[Box], needs: Mapping[str, set[str]]) -> list[list[Box]]:
    """Put each box one row above the lowest that it needs."""
    names = {box.name for box in boxes}
    depth: dict[str, int] = {}

    def level(name: str, chain: tuple[str, ...]) -> int:
        if name not in depth:
            below = [level(item, (*chain, name)) for item in needs.get(name, ()) if item in names and item not in chain]
            depth[name] = 1 + max(below, default=-1)
        return depth[name]

    rows: dict[int, list[Box]] = {}
    for box in boxes:
        rows.setdefault(level(box.name, ()), []).append(box)
    return [rows[number] for number in sorted(rows, reverse=True)]
