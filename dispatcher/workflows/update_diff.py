"""What an update changes in the model: nodes, properties, operations, relationships; `update` makes tasks of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from outrider.dispatcher.workflows.graph import Record, Side
from outrider.dispatcher.workflows.topology import LIFECYCLE, RELATIONSHIP, node_implements, relationship_implements

Json = Mapping[str, Any]

CHECK_DRIFT = f"{LIFECYCLE}.check_drift"
CHECK_RELATIONSHIP_DRIFT = f"{RELATIONSHIP}.check_drift"
_SIDE_RECORD = {Side.SOURCE: Record.SOURCE_DRIFT, Side.TARGET: Record.TARGET_DRIFT}


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateStep:
    """One difference between two plans, as the REST interface shows it in a preview."""

    entity_type: str
    action: str
    entity_id: tuple[str, ...]


def update_steps(old: Json, new: Json) -> list[UpdateStep]:
    """Return what an update from one deployment plan to another changes."""
    before, after = _by_id(old), _by_id(new)
    found = [UpdateStep(entity_type="node", action="remove", entity_id=("nodes", n)) for n in before if n not in after]
    found += [UpdateStep(entity_type="node", action="add", entity_id=("nodes", n)) for n in after if n not in before]
    for name in before.keys() & after.keys():
        found += _node_steps(name, before[name], after[name])
    for section, kind in (("outputs", "output"), ("capabilities", "capability"), ("workflows", "workflow")):
        found += _entries(kind, (section,), old.get(section) or {}, new.get(section) or {})
    return sorted(found, key=lambda step: (step.entity_id, step.action))


def plan_drift(old: Json, new: Json, *, trust_checks: bool) -> dict[str, Any]:
    """Return the drift that the change of a node means for its instances: name of the record → what changed.

    With `trust_checks`, what has an operation `check_drift` of its own is left for that to find out. A relationship's
    drift is by target node, to be turned into target instances.
    """
    found: dict[str, Any] = {}
    own = [step.entity_id[2:] for step in _node_steps("", old, new) if step.entity_type in {"property", "operation"}]
    own = [each for each in own if each[0] != "relationships"]
    if own and not (trust_checks and node_implements(new, CHECK_DRIFT)):
        found[Record.DRIFT.value] = [".".join(each) for each in own]
    for side, record in _SIDE_RECORD.items():
        targets = {
            after["target_id"]: ["changed in the blueprint"]
            for before, after in _common_relationships(old, new)
            if _relationship_changed(before, after, side)
            and not (trust_checks and relationship_implements(after, side, CHECK_RELATIONSHIP_DRIFT))
        }
        if targets:
            found[record.value] = targets
    return found


def _node_steps(name: str, old: Json, new: Json) -> Iterator[UpdateStep]:
    place = ("nodes", name)
    if old.get("type") != new.get("type"):
        yield UpdateStep(entity_type="property", action="modify", entity_id=(*place, "type"))
    for section, kind in (("properties", "property"), ("operations", "operation")):
        yield from _entries(kind, (*place, section), old.get(section) or {}, new.get(section) or {})
    known, wanted = _relationships(old), _relationships(new)
    for key in known.keys() | wanted.keys():
        where = (*place, "relationships", *key)
        if key not in wanted:
            yield UpdateStep(entity_type="relationship", action="remove", entity_id=where)
        elif key not in known:
            yield UpdateStep(entity_type="relationship", action="add", entity_id=where)
        else:
            yield from _relationship_steps(where, known[key], wanted[key])


def _relationship_steps(where: tuple[str, ...], old: Json, new: Json) -> Iterator[UpdateStep]:
    yield from _entries("property", (*where, "properties"), old.get("properties") or {}, new.get("properties") or {})
    for side in ("source_operations", "target_operations"):
        yield from _entries("operation", (*where, side), old.get(side) or {}, new.get(side) or {})


def _entries(kind: str, place: tuple[str, ...], old: Json, new: Json) -> Iterator[UpdateStep]:
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield UpdateStep(entity_type=kind, action="remove", entity_id=(*place, name))
        elif name not in old:
            yield UpdateStep(entity_type=kind, action="add", entity_id=(*place, name))
        elif old[name] != new[name]:
            yield UpdateStep(entity_type=kind, action="modify", entity_id=(*place, name))


def _by_id(plan: Json) -> dict[str, Json]:
    return {node["id"]: node for node in plan.get("nodes") or ()}


def _relationships(node: Json) -> dict[tuple[str, str], Json]:
    return {(each["type"], each["target_id"]): each for each in node.get("relationships") or ()}


def _common_relationships(old: Json, new: Json) -> Iterator[tuple[Json, Json]]:
    known = _relationships(old)
    for key, after in _relationships(new).items():
        if key in known:
            yield known[key], after


def _relationship_changed(old: Json, new: Json, side: Side) -> bool:
    keys = ("properties", f"{side.value}_operations")
    return any((old.get(key) or {}) != (new.get(key) or {}) for key in keys)
