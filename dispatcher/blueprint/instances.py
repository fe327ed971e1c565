"""Plan and counts → node instances and their relationships.

One function does it all: `reconcile` starts from the instances that exist (none for a new deployment), keeps those
that still fit, creates what is missing and drops what is too many. Creation, scaling and updates are calls of it.

Instances form a tree: a contained node's instances stand below each instance of its container, and a scaling group is
a level of that tree between its members and what they are contained in. Counts are per parent.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from outrider.dispatcher.blueprint.errors import ScalingRefused
from outrider.dispatcher.blueprint.levels import Level, container_of, index_existing, is_contained

Record = dict[str, Any]
#: Makes the id of a new instance of a node or group; must not return one that exists.
IdMaker = Callable[[str], str]

#: Bounds of what one deployment may become; far above real ones, far below what would stop a dispatcher.
MOST_INSTANCES = 100_000
MOST_LINKS = 1_000_000
_ALPHABET = string.ascii_lowercase + string.digits


def id_maker(*, taken: Iterable[str] = (), source: Optional[random.Random] = None) -> IdMaker:
    """Return a maker of ids ``<name>_<6 of a-z0-9>``; a seeded `source` makes them the same each time."""
    used = set(taken)
    choose = source or random.SystemRandom()

    def make(name: str) -> str:
        while True:
            made = f"{name}_{''.join(choose.choices(_ALPHABET, k=6))}"
            if made not in used:
                used.add(made)
                return made

    return make


@dataclass(frozen=True)
class Hints:
    """Which instances a person wants to lose, or to keep, when some must go."""

    remove: frozenset[str] = frozenset()
    keep: frozenset[str] = frozenset()


@dataclass
class _Made:
    """One instance of a level while the tree is built."""

    id: str
    level: Level
    parent: Optional[_Made]
    record: Record = field(default_factory=dict)

    def ancestor(self, level: str) -> Optional[_Made]:
        """Return the instance of a level above this one, or itself."""
        current: Optional[_Made] = self
        while current is not None and current.level.name != level:
            current = current.parent
        return current


def reconcile(
    plan: Mapping[str, Any],
    existing: Sequence[Mapping[str, Any]] = (),
    *,
    counts: Optional[Mapping[str, int]] = None,
    hints: Optional[Mapping[str, Hints]] = None,
    make_id: Optional[IdMaker] = None,
) -> list[Record]:
    """Return the node instances of a plan.

    `counts` overrides how many instances a node or group has (per parent); `hints` guides removal, by node or group.
    Existing instances keep their ids, indexes and all other keys. Raises `ScalingRefused` beyond the bounds.
    """
    taken = [item["id"] for item in existing]
    taken += [group["id"] for item in existing for group in item.get("scaling_groups") or ()]
    builder = _Builder(plan, existing, counts or {}, hints or {}, make_id or id_maker(taken=taken))
    return builder.build()


class _Builder:
    def __init__(
        self,
        plan: Mapping[str, Any],
        existing: Sequence[Mapping[str, Any]],
        counts: Mapping[str, int],
        hints: Mapping[str, Hints],
        make_id: IdMaker,
    ) -> None:
        self._nodes: dict[str, Mapping[str, Any]] = {node["id"]: node for node in plan["nodes"]}
        self._groups: Mapping[str, Any] = plan.get("scaling_groups") or {}
        self._counts = counts
        self._hints = hints
        self._make_id = make_id
        self._levels = self._build_levels()
        self._old = index_existing(existing, self._levels)
        self._made: dict[str, list[_Made]] = {name: [] for name in self._nodes}
        self._all: list[_Made] = []
        self._next_index: dict[str, int] = {}
        for item in existing:
            self._next_index[item["node_id"]] = max(
                self._next_index.get(item["node_id"], 1), (item.get("index") or 0) + 1
            )

    def build(self) -> list[Record]:
        self._refuse_too_many()
        roots = [level for level in self._levels.values() if level.parent is None]
        pending: list[tuple[Level, Optional[_Made]]] = [(level, None) for level in reversed(roots)]
        while pending:
            level, parent = pending.pop()
            made = self._instances_below(level, parent)
            for item in reversed(made):
                pending.extend((self._levels[child], item) for child in reversed(level.children))
        self._link()
        return [item.record for item in self._all]

    def _build_levels(self) -> dict[str, Level]:
        levels = {name: Level(name, self._count(name, node)) for name, node in self._nodes.items()}
        group_of: dict[str, str] = {}
        for name, group in self._groups.items():
            levels[name] = Level(name, self._count_of(name, group["properties"]), is_group=True)
            for member in group["members"]:
                group_of.setdefault(member, name)
        for name, node in self._nodes.items():
            levels[name].parent = group_of.get(name) or container_of(node)
        for name, group in self._groups.items():
            levels[name].parent = group_of.get(name) or self._container_of_group(group)
        for name, level in levels.items():
            if level.parent is not None and level.parent in levels:
                levels[level.parent].children.append(name)
            else:
                level.parent = None
        return levels

    def _container_of_group(self, group: Mapping[str, Any]) -> Optional[str]:
        for member in group["members"]:
            if member in self._nodes:
                return container_of(self._nodes[member])
            if member in self._groups:
                return self._container_of_group(self._groups[member])
        return None

    def _count(self, name: str, node: Mapping[str, Any]) -> int:
        return self._count_of(name, node["capabilities"]["scalable"]["properties"])

    def _count_of(self, name: str, properties: Mapping[str, Any]) -> int:
        return int(self._counts.get(name, properties["default_instances"]))

    def _refuse_too_many(self) -> None:
        totals: dict[str, int] = {}
        for name in self._nodes:
            total, level = 1, self._levels[name]
            while True:
                total *= max(level.count, 0)
                if level.parent is None or total > MOST_INSTANCES:
                    break
                level = self._levels[level.parent]
            totals[name] = total
        if sum(totals.values()) > MOST_INSTANCES:
            largest = max(totals, key=lambda name: totals[name])
            raise ScalingRefused(
                f"the deployment would have more than {MOST_INSTANCES} node instances; the node {largest!r} alone "
                f"would have {'more than ' if totals[largest] > MOST_INSTANCES else ''}{totals[largest]}"
            )
        links = sum(
            totals[name] * (1 if is_contained(item) else totals.get(item["target_id"], 0))
            for name, node in self._nodes.items()
            for item in node["relationships"]
            if item["properties"].get("connection_type") != "all_to_one"
        )
        # Members of a group pair inside one instance of it, so that with groups this counts too many.
        if links > MOST_LINKS * max(1, len(self._groups)):
            raise ScalingRefused(
                f"the deployment would have {links} relationships between instances; {MOST_LINKS} is the limit"
            )

    def _instances_below(self, level: Level, parent: Optional[_Made]) -> list[_Made]:
        old = self._old.get((level.name, parent.id if parent else None), [])
        kept = self._keep(level, old)
        made = [_Made(item_id, level, parent) for item_id in kept]
        made += [_Made(self._make_id(level.name), level, parent) for _ in range(level.count - len(kept))]
        for item in made:
            if not level.is_group:
                item.record = self._record(item)
                self._made[level.name].append(item)
                self._all.append(item)
        return made

    def _keep(self, level: Level, old: list[str]) -> list[str]:
        """Choose who stays when fewer are wanted: the oldest, unless hints say otherwise."""
        surplus = len(old) - level.count
        if surplus <= 0:
            return old
        hints = self._hints.get(level.name, Hints())
        ranked = sorted(range(len(old)), key=lambda i: (old[i] not in hints.remove, old[i] in hints.keep, -i))
        gone = {old[index] for index in ranked[:surplus]}
        return [item for item in old if item not in gone]

    def _record(self, made: _Made) -> Record:
        name = made.level.name
        known = self._old_record(made.id)
        if known is not None:
            return {**known, "relationships": []}
        record: Record = {"name": name, "node_id": name, "id": made.id}
        host = self._nodes[name].get("host_id")
        above = made.ancestor(host) if host else None
        if above is not None:
            record["host_id"] = above.id
        record["index"] = self._next_index.get(name, 1)
        self._next_index[name] = record["index"] + 1
        groups = []
        current = made.parent
        while current is not None and current.level.is_group:
            groups.append({"name": current.level.name, "id": current.id})
            current = current.parent
        if groups:
            record["scaling_groups"] = groups
        record["relationships"] = []
        return record

    def _old_record(self, instance_id: str) -> Optional[Mapping[str, Any]]:
        return self._old.records.get(instance_id)

    def _link(self) -> None:
        for name, node in self._nodes.items():
            for relationship in node["relationships"]:
                if is_contained(relationship):
                    self._contain(name, relationship)
                else:
                    self._connect(name, relationship)

    def _contain(self, name: str, relationship: Mapping[str, Any]) -> None:
        for made in self._made[name]:
            container = made.ancestor(relationship["target_id"])
            if container is not None:
                _add_link(made, relationship, container.id)

    def _connect(self, name: str, relationship: Mapping[str, Any]) -> None:
        target = relationship["target_id"]
        shared = self._shared_group(name, target)
        to_one = relationship["properties"].get("connection_type") == "all_to_one"
        by_group: dict[Optional[str], list[_Made]] = {}
        for item in self._made.get(target, []):
            by_group.setdefault(_ancestor_id(item, shared), []).append(item)
        for made in self._made[name]:
            candidates = by_group.get(_ancestor_id(made, shared), [])
            if to_one and candidates:
                candidates = [self._the_one(name, relationship, candidates)]
            for item in candidates:
                _add_link(made, relationship, item.id)

    def _the_one(self, name: str, relationship: Mapping[str, Any], candidates: list[_Made]) -> _Made:
        """The target that existing instances use, so that scaling moves nobody; else the smallest id."""
        used = {
            link["target_id"]
            for made in self._made[name]
            for link in (self._old_record(made.id) or {}).get("relationships", ())
            if link["target_name"] == relationship["target_id"] and link["type"] == relationship["type"]
        }
        return min(candidates, key=lambda item: (item.id not in used, item.id))

    def _shared_group(self, source: str, target: str) -> Optional[str]:
        """Return the innermost scaling group above both nodes."""
        of_target = set(self._groups_above(target))
        return next((group for group in self._groups_above(source) if group in of_target), None)

    def _groups_above(self, name: str) -> list[str]:
        found = []
        level: Optional[Level] = self._levels.get(name)
        while level is not None:
            if level.is_group:
                found.append(level.name)
            level = self._levels.get(level.parent) if level.parent else None
        return found


def _ancestor_id(made: _Made, level: Optional[str]) -> Optional[str]:
    above = made.ancestor(level) if level else None
    return above.id if above else None


def _add_link(made: _Made, relationship: Mapping[str, Any], target_id: str) -> None:
    link = {"type": relationship["type"], "target_name": relationship["target_id"], "target_id": target_id}
    if link not in made.record["relationships"]:
        made.record["relationships"].append(link)
