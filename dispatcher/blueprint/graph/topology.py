"""The picture's content: boxes (some inside others) and arrows, read from a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from outrider.dispatcher.blueprint.levels import is_contained


@dataclass
class Box:
    """A node template; contained ones are its children."""

    name: str
    type: str
    count: str = ""
    children: list[Box] = field(default_factory=list)


@dataclass(frozen=True)
class Arrow:
    """A relationship that is not containment."""

    source: str
    target: str
    label: str


@dataclass(frozen=True)
class Picture:
    """Outermost boxes, all arrows, and the scaling groups with their members."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    groups: Mapping[str, tuple[str, ...]]


def picture(plan: Mapping[str, Any]) -> Picture:
    """Return the picture of a plan."""
    boxes = {node["id"]: Box(node["id"], node["type"], _count(node)) for node in plan["nodes"]}
    roots: list[Box] = []
    arrows: list[Arrow] = []
    for node in plan["nodes"]:
        inside = False
        for relationship in node["relationships"]:
            if is_contained(relationship):
                boxes[relationship["target_id"]].children.append(boxes[node["id"]])
                inside = True
            else:
                label = relationship["type"].rsplit(".", 1)[-1]
                arrows.append(Arrow(node["id"], relationship["target_id"], label))
        if not inside:
            roots.append(boxes[node["id"]])
    groups = {name: tuple(group["members"]) for name, group in (plan.get("scaling_groups") or {}).items()}
    return Picture(tuple(roots), tuple(arrows), groups)


def _count(node: Mapping[str, Any]) -> str:
    number = node["capabilities"]["scalable"]["properties"]["default_instances"]
    if number == 1:
        return ""
    return f"×{number}" if isinstance(number, int) else "×n"
