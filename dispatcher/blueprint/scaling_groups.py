"""The rules of scaling groups: no cycles, one group per member, members with one container."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import Mark, key_mark
from outrider.dispatcher.blueprint.model import NodeTemplate
from outrider.dispatcher.blueprint.problems import Problems
from outrider.dispatcher.blueprint.topology import find_cycle

Record = dict[str, Any]


def check_scaling_groups(
    scaling: Mapping[str, Record],
    templates: Mapping[str, NodeTemplate],
    groups: Mapping[str, Any],
    problems: Problems,
) -> dict[str, Record]:
    """Return the scaling groups without members that are contained in another member; findings for broken rules."""
    cycle = find_cycle(scaling, {name: [m for m in item["members"] if m in scaling] for name, item in scaling.items()})
    if cycle is not None:
        message = f"scaling groups contain themselves: {' → '.join(cycle)}"
        problems.add(Kind.GROUP_CYCLE, message, at=key_mark(groups, cycle[0]))
        return dict(scaling)
    _refuse_members_of_two(scaling, groups, problems)
    _refuse_all_to_one(scaling, templates, problems)
    checked = {}
    for name, group in scaling.items():
        members = [member for member in group["members"] if not _inside_another(member, group["members"], templates)]
        at = key_mark(groups, name)
        _refuse_different_containers(name, members, scaling, templates, problems, at=at)
        checked[name] = {**group, "members": members}
    return checked


def _refuse_members_of_two(scaling: Mapping[str, Record], groups: Mapping[str, Any], problems: Problems) -> None:
    owner: dict[str, str] = {}
    for name, group in scaling.items():
        for member in group["members"]:
            if owner.setdefault(member, name) != name:
                message = f"{member!r} is a member of two scaling groups, {owner[member]!r} and {name!r}"
                problems.add(Kind.GROUP_MEMBER_TWICE, message, at=key_mark(groups, name))


def _refuse_all_to_one(
    scaling: Mapping[str, Record], templates: Mapping[str, NodeTemplate], problems: Problems
) -> None:
    """Inside a group, instances pair within one instance of the group, so that all_to_one has no meaning."""
    owner = {member: name for name, group in scaling.items() for member in group["members"]}
    for template in templates.values():
        for relationship in template.relationships:
            if relationship.properties.get("connection_type") != "all_to_one" or relationship.contains:
                continue
            shared = _groups_above(template.name, owner, templates) & _groups_above(
                relationship.target, owner, templates
            )
            if shared:
                message = (
                    f"{template.name!r} and {relationship.target!r} are both in the scaling group {min(shared)!r}, "
                )
                message += "where all_to_one cannot be used"
                problems.add(Kind.GROUP_ALL_TO_ONE, message, at=relationship.at)


def _groups_above(name: str, owner: Mapping[str, str], templates: Mapping[str, NodeTemplate]) -> set[str]:
    found: set[str] = set()
    for node in [name, *_containers(name, templates)]:
        group = owner.get(node)
        while group is not None and group not in found:
            found.add(group)
            group = owner.get(group)
    return found


def _containers(name: str, templates: Mapping[str, NodeTemplate]) -> list[str]:
    """Return what a node is contained in, innermost first."""
    found: list[str] = []
    current: Optional[str] = name
    while current is not None and current in templates:
        current = templates[current].container
        if current is None or current in found:
            break
        found.append(current)
    return found


def _inside_another(member: str, members: list[str], templates: Mapping[str, NodeTemplate]) -> bool:
    return member in templates and any(item in members for item in _containers(member, templates))


def _leaves(member: str, scaling: Mapping[str, Record], templates: Mapping[str, NodeTemplate]) -> list[str]:
    """Return the nodes of a member, which may be a group."""
    if member in templates:
        return [member]
    inner = scaling.get(member)
    return [leaf for item in inner["members"] for leaf in _leaves(item, scaling, templates)] if inner else []


def _refuse_different_containers(
    name: str,
    members: list[str],
    scaling: Mapping[str, Record],
    templates: Mapping[str, NodeTemplate],
    problems: Problems,
    *,
    at: Optional[Mark],
) -> None:
    leaves = [leaf for member in members for leaf in _leaves(member, scaling, templates)]
    outermost = {leaf: templates[leaf].container for leaf in leaves}
    if len(set(outermost.values())) > 1:
        described = ", ".join(
            f"{leaf!r} in {container!r}" if container else f"{leaf!r} in nothing"
            for leaf, container in outermost.items()
        )
        message = f"the members of the scaling group {name!r} are contained in different nodes: {described}"
        problems.add(Kind.GROUP_CONTAINMENT, message, at=at)
