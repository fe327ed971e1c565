"""Scaling and updates: which node instances come, go, and get other relationships. Pure; the engine acts on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from outrider.dispatcher.blueprint.errors import ScalingRefused
from outrider.dispatcher.blueprint.instances import Hints, IdMaker, reconcile
from outrider.dispatcher.blueprint.problems import nearest

Record = dict[str, Any]


@dataclass(frozen=True)
class InstanceChanges:
    """What a change of counts or of the plan means for the instances of a deployment."""

    #: All instances afterwards.
    after: tuple[Record, ...]
    #: New instances, and those that exist and have a relationship to or from a new one.
    added: tuple[str, ...]
    added_and_related: tuple[Record, ...]
    #: Instances that go, and those that stay and had a relationship to or from them.
    removed: tuple[str, ...]
    removed_and_related: tuple[Record, ...]
    #: Instances that stay and gain relationships, with the gained ones only.
    extended: tuple[Record, ...]
    #: Instances that stay and lose relationships, with the lost ones only.
    reduced: tuple[Record, ...]
    #: Node or group -> how many instances it has per parent from now on.
    counts: Mapping[str, int]


def scale(
    plan: Mapping[str, Any],
    instances: Sequence[Mapping[str, Any]],
    changes: Mapping[str, Mapping[str, Any]],
    *,
    counts: Optional[Mapping[str, int]] = None,
    make_id: Optional[IdMaker] = None,
) -> InstanceChanges:
    """Return what a modification does.

    `changes` is node or group -> ``{"instances": N, "removed_ids_include_hint": [], "removed_ids_exclude_hint": []}``;
    `counts` are the numbers in force where they differ from the plan's. Raises `ScalingRefused` when an entity does
    not exist or a number lies outside its limits.
    """
    wanted = dict(counts or {})
    hints = {}
    for name, change in changes.items():
        number = _checked_number(plan, name, change.get("instances"))
        wanted[name] = number
        hints[name] = Hints(
            remove=frozenset(change.get("removed_ids_include_hint") or ()),
            keep=frozenset(change.get("removed_ids_exclude_hint") or ()),
        )
    after = reconcile(plan, instances, counts=wanted, hints=hints, make_id=make_id)
    return compare(instances, after, counts=wanted)


def _checked_number(plan: Mapping[str, Any], name: str, number: Any) -> int:
    nodes = {node["id"]: node["capabilities"]["scalable"]["properties"] for node in plan["nodes"]}
    groups = {key: group["properties"] for key, group in (plan.get("scaling_groups") or {}).items()}
    properties = {**nodes, **groups}.get(name)
    if properties is None:
        meant = nearest(name, [*nodes, *groups])
        raise ScalingRefused(
            f"there is no node or scaling group {name!r}" + (f"; did you mean {meant!r}?" if meant else "")
        )
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ScalingRefused(f"{name!r} cannot have {number!r} instances")
    least, most = int(properties["min_instances"]), int(properties["max_instances"])
    if number < least:
        raise ScalingRefused(f"{name!r} would have {number} instances, and its min_instances is {least}")
    if 0 < most < number:
        raise ScalingRefused(f"{name!r} would have {number} instances, and its max_instances is {most}")
    return number


def update_instances(
    new_plan: Mapping[str, Any],
    instances: Sequence[Mapping[str, Any]],
    *,
    counts: Optional[Mapping[str, int]] = None,
    make_id: Optional[IdMaker] = None,
) -> InstanceChanges:
    """Return what a new plan means for existing instances; `counts` keeps what was scaled meanwhile."""
    known = {node["id"] for node in new_plan["nodes"]} | set(new_plan.get("scaling_groups") or {})
    kept = {name: number for name, number in (counts or {}).items() if name in known}
    after = reconcile(new_plan, instances, counts=kept, make_id=make_id)
    return compare(instances, after, counts=kept)


def compare(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], *, counts: Mapping[str, int]
) -> InstanceChanges:
    """Return the difference of two lists of instances."""
    old = {item["id"]: item for item in before}
    new = {item["id"]: item for item in after}
    added = [name for name in new if name not in old]
    removed = [name for name in old if name not in new]
    return InstanceChanges(
        after=tuple(dict(item) for item in after),
        added=tuple(added),
        added_and_related=_with_related(new, set(added), "added"),
        removed=tuple(removed),
        removed_and_related=_with_related(old, set(removed), "removed"),
        extended=_link_changes(new, old),
        reduced=_link_changes(old, new),
        counts=counts,
    )


def _with_related(
    instances: Mapping[str, Mapping[str, Any]], chosen: set[str], modification: str
) -> tuple[Record, ...]:
    """Return the chosen instances, marked, and every other one that is linked to or from them."""
    related = {link["target_id"] for name in chosen for link in instances[name]["relationships"]}
    for name, item in instances.items():
        if any(link["target_id"] in chosen for link in item["relationships"]):
            related.add(name)
    return tuple(
        {**item, "modification": modification} if name in chosen else dict(item)
        for name, item in instances.items()
        if name in chosen or name in related
    )


def _link_changes(one: Mapping[str, Mapping[str, Any]], other: Mapping[str, Mapping[str, Any]]) -> tuple[Record, ...]:
    """Return the instances of both sides with the relationships that only `one` has."""
    changed = []
    for name, item in one.items():
        if name in other:
            known = {_key(link) for link in other[name]["relationships"]}
            links = [link for link in item["relationships"] if _key(link) not in known]
            if links:
                changed.append({**item, "relationships": links})
    return tuple(changed)


def _key(link: Mapping[str, Any]) -> tuple[str, str]:
    return link["type"], link["target_id"]
