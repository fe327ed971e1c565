"""A topology as Mermaid text, which many viewers of Markdown draw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outrider.dispatcher.blueprint.graph.topology import Box, picture


def mermaid(plan: Mapping[str, Any]) -> str:
    """Return a flowchart: containers are subgraphs, other relationships are arrows from source to target."""
    drawn = picture(plan)
    ids: dict[str, str] = {}
    lines = ["flowchart TD"]
    for box in drawn.boxes:
        _box(box, ids, lines, "    ")
    lines += [
        f"    {ids[arrow.source]} -->|{_text(arrow.label)}| {ids[arrow.target]}"
        for arrow in drawn.arrows
        if arrow.source in ids and arrow.target in ids
    ]
    for number, (name, members) in enumerate(drawn.groups.items()):
        style = ",".join(ids[member] for member in members if member in ids)
        if style:
            lines.append(f"    %% scaling group {name}")
            lines.append(f"    classDef group{number} stroke-dasharray:4")
            lines.append(f"    class {style} group{number}")
    return "\n".join(lines) + "\n"


def _box(box: Box, ids: dict[str, str], lines: list[str], indent: str) -> None:
    ids[box.name] = f"n{len(ids)}"
    label = _text(f"{box.name} {box.count}".strip())
    if not box.children:
        lines.append(f'{indent}{ids[box.name]}["{label}<br/><small>{_text(box.type)}</small>"]')
        return
    lines.append(f'{indent}subgraph {ids[box.name]}["{label} ({_text(box.type)})"]')
    for child in box.children:
        _box(child, ids, lines, indent + "    ")
    lines.append(f"{indent}end")


def _text(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;").replace("|", "/")
