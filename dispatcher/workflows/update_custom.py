"""An update whose operations another workflow decides on: the parameter `workflow_id` names one of the new blueprint.

The model is the update's business all the same. First the new plan takes the old one's place, new instances and
relationships are there beside those that go; then the workflow runs; then what the new plan does not have is forgotten.
A workflow that a plugin brings is told what differs (`differences`); a built-in one takes its own parameters.
Called by `catalog`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from outrider.dispatcher.workflows.brought import function_graph
from outrider.dispatcher.workflows.graph import ChangeKind, ModelChange, Stage, StagePlan, TaskGraph, Workflow
from outrider.dispatcher.workflows.lifecycle import STARTED
from outrider.dispatcher.workflows.records import relationship_changes
from outrider.dispatcher.workflows.recovery import prepare_resume, recover
from outrider.dispatcher.workflows.scaling import compare
from outrider.dispatcher.workflows.update import UPDATE_OPTIONS
from outrider.dispatcher.workflows.update_diff import update_steps
from outrider.dispatcher.workflows.update_model import (
    Link,
    combined_plan,
    final_plan,
    is_marked,
    links,
    marked,
    side_by_side,
    unmark,
    wanted_by,
)
from outrider.dispatcher.workflows.view import DeploymentView, InstanceView

Json = Mapping[str, Any]
#: The instances that the deployment has under the new plan, by id.
Instances = Mapping[str, InstanceView]

#: What it is told besides: the differences, by instance ids.
TOLD = frozenset(
    {"added_instance_ids", "added_target_instances_ids", "removed_instance_ids", "remove_target_instance_ids"}
    | {"extended_instance_ids", "extend_target_instance_ids", "reduced_instance_ids", "reduce_target_instance_ids"}
    | {"modified_entity_ids", "node_instances_to_reinstall"}
)

_NOTHING = TaskGraph(tasks={}, dependencies={})


def update_by_function(name: str, parameters: Json, asked: Json) -> Workflow:
    """Return the update in which a plugin's function runs; `asked` are the function's own parameters."""

    def plan(view: DeploymentView) -> StagePlan:
        # Asked again, new instances would get other ids.
        wanted = wanted_by(view, parameters["plan"])
        told = {
            **asked,
            **{each: parameters[each] for each in ("update_id", *UPDATE_OPTIONS)},
            **differences(view, wanted, parameters),
        }
        return StagePlan(graph=function_graph(told), before=_arrive(view, wanted, parameters))

    stages = (Stage(name=f"update-{name}", plan=plan), _last(parameters))
    return Workflow(name="update", stages=stages, function=name, recover=recover, prepare_resume=prepare_resume)


def update_by_stages(inner: Workflow, parameters: Json) -> Workflow:
    """Return the update in which the stages of a built-in workflow run."""

    def plan(view: DeploymentView) -> StagePlan:
        return StagePlan(graph=_NOTHING, before=_arrive(view, wanted_by(view, parameters["plan"]), parameters))

    stages = (Stage(name="update-model", plan=plan), *inner.stages, _last(parameters))
    return replace(inner, name="update", stages=stages)


def differences(view: DeploymentView, wanted: Instances, parameters: Json) -> dict[str, Any]:
    """Return what an update changes, as a workflow that takes its steps is told it; lists of instance ids.

    `modified_entity_ids` is by kind of entity (``property``, ``operation`` …): ``nodes:web:properties:port``.
    """
    change = compare(view, wanted.values())
    stays = [(each, wanted[each.id]) for each in view.instances.values() if each.id in wanted]
    gained = {old.id: links(new) - links(old) for old, new in stays if links(new) - links(old)}
    lost = {old.id: links(old) - links(new) for old, new in stays if links(old) - links(new)}
    steps = update_steps({**view.plan, "nodes": list(view.nodes.values())}, parameters["plan"])
    modified: dict[str, list[str]] = {}
    for step in steps:
        if step.action == "modify":
            modified.setdefault(step.entity_type, []).append(":".join(step.entity_id))
    # What an update that failed had begun to bring is still to be brought.
    left = [each for each in view.instances.values() if each.id in wanted and is_marked(each) and each.state != STARTED]
    added = {each.id: links(each) for each in (*change.added, *left)}
    removed = {each.id: links(each) for each in change.removed}
    return {
        "added_instance_ids": sorted(added),
        "added_target_instances_ids": _targets(added.values(), without=added),
        "removed_instance_ids": sorted(removed),
        "remove_target_instance_ids": _targets(removed.values(), without=removed),
        "extended_instance_ids": sorted(gained),
        "extend_target_instance_ids": _targets(gained.values()),
        "reduced_instance_ids": sorted(lost),
        "reduce_target_instance_ids": _targets(lost.values()),
        "modified_entity_ids": modified,
        "node_instances_to_reinstall": list(parameters["reinstall_list"]),
    }


def _targets(found: Iterable[Iterable[Link]], *, without: Collection[str] = ()) -> list[str]:
    return sorted({target for each in found for _type, target in each if target not in without})


def _arrive(view: DeploymentView, wanted: Instances, parameters: Json) -> tuple[ModelChange, ...]:
    """Return the changes after which old and new stand side by side."""
    together = combined_plan(view, parameters["plan"])
    present = side_by_side(view, wanted, together)
    added = [marked(each) for each in compare(view, wanted.values()).added]
    changed = [relationship_changes(each) for each in present.values()]
    return (
        _replace_plan(together, parameters),
        ModelChange(kind=ChangeKind.ADD_INSTANCES, payload={"instances": added}),
        ModelChange(kind=ChangeKind.UPDATE_INSTANCES, payload={"instances": changed}),
    )


def _last(parameters: Json) -> Stage:
    """Return the stage that leaves only what the new plan has."""

    def plan(view: DeploymentView) -> StagePlan:
        wanted = wanted_by(view, parameters["plan"])
        removed = [each.id for each in compare(view, wanted.values()).removed]
        kept = [
            relationship_changes(replace(old, relationships=new.relationships, scaling_groups=new.scaling_groups))
            for old, new in ((view.instances[each], wanted[each]) for each in wanted if each in view.instances)
        ]
        return StagePlan(
            graph=_NOTHING,
            after=(
                ModelChange(kind=ChangeKind.REMOVE_INSTANCES, payload={"instances": removed}),
                _replace_plan(final_plan(view, parameters["plan"]), parameters),
                ModelChange(kind=ChangeKind.UPDATE_INSTANCES, payload={"instances": kept}),
                unmark(each["id"] for each in kept),
            ),
        )

    return Stage(name="update-forget", plan=plan)


def _replace_plan(plan: Json, parameters: Json) -> ModelChange:
    payload = {"plan": plan, "blueprint_id": parameters["blueprint_id"]}
    return ModelChange(kind=ChangeKind.REPLACE_PLAN, payload=payload)
