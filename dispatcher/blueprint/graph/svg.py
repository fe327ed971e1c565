"""A topology as an SVG picture that needs nothing else: no script, no font, no external file."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from outrider.dispatcher.blueprint.graph.layout import Layout, Placed, lay_out
from outrider.dispatcher.blueprint.graph.topology import Arrow, picture

_STYLE = (
    "text{font:13px sans-serif;fill:#1f2937}.t{font-size:11px;fill:#6b7280}"
    "rect{fill:#f9fafb;stroke:#4b5563}.c{fill:#eef2ff}.g{stroke-dasharray:5 3}"
    "path{fill:none;stroke:#2563eb}.l{font-size:10px;fill:#2563eb}"
    "@media (prefers-color-scheme:dark){text{fill:#e5e7eb}rect{fill:#1f2937;stroke:#9ca3af}.c{fill:#111827}}"
)


def svg(plan: Mapping[str, Any]) -> str:
    """Return the topology of a plan as one SVG document."""
    drawn = picture(plan)
    layout = lay_out(drawn)
    places = {item.box.name: item for item in layout.placed}
    grouped = {member for members in drawn.groups.values() for member in members}
    parts = [_head(layout)]
    parts += [_rectangle(item, in_group=item.box.name in grouped) for item in layout.placed]
    parts += [_arrow(arrow, places) for arrow in drawn.arrows if arrow.source in places and arrow.target in places]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _head(layout: Layout) -> str:
    size = f"{layout.width:.0f} {layout.height:.0f}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{layout.width:.0f}" '
        f'height="{layout.height:.0f}"><style>{_STYLE}</style><defs><marker id="a" markerWidth="8" markerHeight="8" '
        'refX="7" refY="4" orient="auto"><path d="M0,0 L8,4 L0,8 Z" style="fill:#2563eb"/></marker></defs>'
    )


def _rectangle(item: Placed, *, in_group: bool) -> str:
    classes = " ".join(name for name, on in (("c", item.box.children), ("g", in_group)) if on)
    title = escape(f"{item.box.name} {item.box.count}".strip())
    return (
        f'<rect class="{classes}" x="{item.x:.0f}" y="{item.y:.0f}" width="{item.width:.0f}" '
        f'height="{item.height:.0f}" rx="6"/><text x="{item.x + 10:.0f}" y="{item.y + 17:.0f}">{title}</text>'
        f'<text class="t" x="{item.x + 10:.0f}" y="{item.y + 33:.0f}">{escape(item.box.type)}</text>'
    )


def _arrow(arrow: Arrow, places: Mapping[str, Placed]) -> str:
    source, target = places[arrow.source], places[arrow.target]
    x1, x2 = source.x + source.width / 2, target.x + target.width / 2
    down = source.y + source.height <= target.y
    y1 = source.y + source.height if down else source.y + source.height / 2
    y2 = target.y if down else target.y + target.height / 2
    if not down:
        x1, x2 = (source.x + source.width, target.x) if source.x < target.x else (source.x, target.x + target.width)
    bend = (y1 + y2) / 2
    path = f"M{x1:.0f},{y1:.0f} C{x1:.0f},{bend:.0f} {x2:.0f},{bend:.0f} {x2:.0f},{y2:.0f}"
    label = f'<text class="l" x="{(x1 + x2) / 2 + 4:.0f}" y="{bend:.0f}">{escape(arrow.label)}</text>'
    return f'<path d="{path}" marker-end="url(#a)"/>{label}'
