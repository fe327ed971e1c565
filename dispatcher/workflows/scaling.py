"""What a scale changes: which instances come, which go, whose relationships change. Pure; `scale` makes tasks of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from outrider.dispatcher.blueprint.errors import ScalingRefused
from outrider.dispatcher.blueprint.instances import Hints, reconcile
from outrider.dispatcher.workflows.errors import PlanError, did_you_mean
from outrider.dispatcher.workflows.records import instances_of_records, records_of
from outrider.dispatcher.workflows.view import DeploymentView, InstanceView

Json = Mapping[str, Any]

#: System property of an instance that a scale-out added and has not finished with.
MODIFICATION = "modification"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is scaled: a node or a scaling group."""

    name: str
    is_group: bool
    properties: Json

    @property
    def current(self) -> int:
        """Number of instances now (per instance of what it is contained in)."""
        number = self.properties.get("current_instances", self.properties.get("default_instances", 1))
        return int(number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What differs between the instances that are and those that shall be."""

    added: tuple[InstanceView, ...]
    removed: tuple[InstanceView, ...]
    #: Those that stay with other relationships than before, as they shall be.
    relinked: tuple[InstanceView, ...]

    def applied_to(self, view: DeploymentView) -> DeploymentView:
        """Return the deployment with everything that is added and relinked; what goes is still there."""
        instances = {**view.instances, **{each.id: each for each in (*self.added, *self.relinked)}}
        return replace(view, instances=instances)


def find_target(view: DeploymentView, name: str, *, scale_compute: bool) -> Target:
    """Return what a name means: a scaling group, a node, or with `scale_compute` the node's host.

    Raises PlanError.
    """
    group = view.scaling_groups.get(name)
    if group is not None:
        return Target(name=name, is_group=True, properties=group.get("properties") or {})
    node = view.nodes.get(name)
    if node is None:
        known = (*view.scaling_groups, *view.nodes)
        raise PlanError(
            f"deployment {view.id!r} has no scaling group and no node {name!r} to scale{did_you_mean(name, known)}"
        )
    if scale_compute and node.get("host_id"):
        name = node["host_id"]
        node = view.nodes[name]
    return Target(name=name, is_group=False, properties=scalable_properties(node))


def new_count(target: Target, delta: int) -> int:
    """Return the number of instances after the change; raises PlanError outside of the declared limits."""
    wanted = target.current + delta
    least, most = int(target.properties.get("min_instances", 0)), int(target.properties.get("max_instances", -1))
    if wanted < max(least, 0) or (most >= 0 and wanted > most):
        limit = f"at least {max(least, 0)}" + (f" and at most {most}" if most >= 0 else "")
        raise PlanError(
            f"cannot scale {target.name!r} by {delta:+}: it has {target.current} instances and would have {wanted},"
            f" but {limit} are allowed"
        )
    return wanted


def difference(view: DeploymentView, target: Target, count: int, hints: Hints) -> Difference:
    """Return what changes when a node or group gets this many instances; raises PlanError beyond the bounds."""
    counts = {**current_counts(view), target.name: count}
    return compare(view, wanted_instances(view, plan_of(view), counts, {target.name: hints}))


def plan_of(view: DeploymentView) -> Json:
    """Return as much of a deployment's plan as decides on its instances."""
    return {"nodes": list(view.nodes.values()), "scaling_groups": view.scaling_groups}


def wanted_instances(
    view: DeploymentView, plan: Json, counts: Mapping[str, int], hints: Mapping[str, Hints]
) -> list[InstanceView]:
    """Return the instances that a deployment has under a plan, as many of the present ones as fit among them.

    Raises PlanError beyond the bounds.
    """
    try:
        records = reconcile(plan, records_of(view), counts=counts, hints=hints)
    except ScalingRefused as refused:
        raise PlanError(str(refused)) from refused
    return instances_of_records({node["id"]: node for node in plan["nodes"]}, records)


def compare(view: DeploymentView, wanted: Iterable[InstanceView]) -> Difference:
    """Return the difference between a deployment's instances and the wanted ones."""
    new = {each.id: each for each in wanted}
    known = view.instances
    return Difference(
        added=tuple(each for each in new.values() if each.id not in known),
        removed=tuple(each for each in known.values() if each.id not in new),
        relinked=tuple(
            replace(known[each.id], relationships=each.relationships)
            for each in new.values()
            if each.id in known and set(known[each.id].relationships) != set(each.relationships)
        ),
    )


def removal_hints(view: DeploymentView, target: Target, include: Iterable[str], exclude: Iterable[str]) -> Hints:
    """Return the hints for instances that a person wants to lose or to keep; raises PlanError for unknown ones."""
    return Hints(remove=_members(view, target, include), keep=_members(view, target, exclude))


def _members(view: DeploymentView, target: Target, instances: Iterable[str]) -> frozenset[str]:
    found = set()
    for instance_id in instances:
        instance = view.instances.get(instance_id)
        member = _member(instance, target) if instance is not None else None
        if member is None:
            raise PlanError(f"{instance_id!r} is no node instance of {target.name!r} in deployment {view.id!r}")
        found.add(member)
    return frozenset(found)


def _member(instance: InstanceView, target: Target) -> str | None:
    """Return the id by which an instance counts for the target: its own, or that of its instance of the group."""
    if not target.is_group:
        return instance.id if instance.node == target.name else None
    return next((str(each["id"]) for each in instance.scaling_groups if each.get("name") == target.name), None)


def current_counts(view: DeploymentView) -> dict[str, int]:
    """Return node or group → number of instances now."""
    properties = {name: scalable_properties(node) for name, node in view.nodes.items()}
    properties.update({name: group.get("properties") or {} for name, group in view.scaling_groups.items()})
    return {name: int(each["current_instances"]) for name, each in properties.items() if "current_instances" in each}


def scalable_properties(node: Json) -> Json:
    """Return the numbers that a node of the plan is scaled by."""
    found: Json = ((node.get("capabilities") or {}).get("scalable") or {}).get("properties") or {}
    return found
