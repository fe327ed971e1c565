"""The tree of levels in which node instances stand, and where existing instances stand in it. Used by `instances`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

CONTAINED_IN = "cloudify.relationships.contained_in"


@dataclass
class Level:
    """A node or a group in the tree of levels."""

    name: str
    count: int
    is_group: bool = False
    parent: Optional[str] = None
    children: list[str] = field(default_factory=list)


class Existing(dict[tuple[str, Optional[str]], list[str]]):
    """(level, id of the parent instance) -> ids of instances; and the records by id."""

    records: dict[str, Mapping[str, Any]]


def index_existing(existing: Sequence[Mapping[str, Any]], levels: Mapping[str, Level]) -> Existing:
    """Place existing instances into the tree of levels; those whose place is gone are left out."""
    index = Existing()
    index.records = {item["id"]: item for item in existing}
    seen: set[str] = set()
    for item in sorted(existing, key=lambda entry: (entry.get("index") or 0, entry["id"])):
        name = item["node_id"]
        if name not in levels or levels[name].is_group:
            continue
        groups = {group["name"]: group["id"] for group in item.get("scaling_groups") or ()}
        container = next(
            (r["target_id"] for r in item.get("relationships") or () if _was_contained(r, item, levels)), None
        )
        chain: list[tuple[str, str]] = [(name, item["id"])]
        parent = levels[name].parent
        while parent is not None and levels[parent].is_group and parent in groups:
            chain.append((parent, groups[parent]))
            parent = levels[parent].parent
        if parent is not None and levels[parent].is_group:
            continue
        if (parent is None) != (container is None):
            continue
        above = container
        for level, own_id in reversed(chain):
            if own_id not in seen:
                seen.add(own_id)
                index.setdefault((level, above), []).append(own_id)
            above = own_id
    return index


def _was_contained(link: Mapping[str, Any], item: Mapping[str, Any], levels: Mapping[str, Level]) -> bool:
    """Whether a link of an existing instance is its containment: its target is the level above all groups."""
    level = levels[item["node_id"]]
    while level.parent is not None:
        level = levels[level.parent]
        if not level.is_group:
            return bool(link["target_name"] == level.name)
    return bool(link["type"] == CONTAINED_IN)


def is_contained(relationship: Mapping[str, Any]) -> bool:
    """Whether a relationship of a plan's node contains the node in its target."""
    return CONTAINED_IN in relationship["type_hierarchy"]


def container_of(node: Mapping[str, Any]) -> Optional[str]:
    """Return the node that a plan's node is contained in."""
    return next((item["target_id"] for item in node["relationships"] if is_contained(item)), None)
