"""`scale`: more or fewer instances of a node or a scaling group.

A scale-out adds instances to the model, marked as unfinished, and installs them. If that fails, they are uninstalled
and removed again: all of them, also those that were already started, so that nothing is left running without a record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from outrider.dispatcher.workflows.errors import PlanError
from outrider.dispatcher.workflows.graph import ChangeKind, ModelChange, Stage, StagePlan, TaskGraph, Workflow
from outrider.dispatcher.workflows.install import install_graph
from outrider.dispatcher.workflows.records import relationship_changes
from outrider.dispatcher.workflows.recovery import prepare_resume, recover
from outrider.dispatcher.workflows.scaling import (
    MODIFICATION,
    Difference,
    Target,
    difference,
    find_target,
    new_count,
    removal_hints,
)
from outrider.dispatcher.workflows.steps import Options
from outrider.dispatcher.workflows.uninstall import uninstall_graph
from outrider.dispatcher.workflows.view import DeploymentView

Json = Mapping[str, Any]

_NOTHING = TaskGraph(tasks={}, dependencies={})


def plan_scale(parameters: Json, view: DeploymentView) -> Workflow:
    """Plan the workflow `scale`. Raises PlanError for an unknown target or hints that do not fit."""
    _check_hints(parameters)
    _target(view, parameters)
    delta = parameters["delta"]
    stages: list[Stage] = []
    if parameters["abort_started"]:
        stages.append(Stage(name="abort", plan=_undo))
    if delta > 0:
        stages.append(Stage(name="scale-out", plan=lambda now: _scale_out(now, parameters)))
        if parameters["rollback_if_failed"]:
            stages.append(Stage(name="scale-out-rollback", plan=_undo, on_failure=True))
    elif delta < 0:
        stages.append(Stage(name="scale-in", plan=lambda now: _scale_in(now, parameters)))
    else:
        stages.append(Stage(name="nothing", plan=lambda _now: StagePlan(graph=_NOTHING)))
    return Workflow(name="scale", stages=tuple(stages), recover=recover, prepare_resume=prepare_resume)


def _check_hints(parameters: Json) -> None:
    if not (parameters["include_instances"] or parameters["exclude_instances"]):
        return
    if parameters["delta"] >= 0:
        raise PlanError(
            "include_instances and exclude_instances say which instances go: give a negative delta with them"
        )
    if parameters["scale_compute"]:
        raise PlanError(
            "include_instances and exclude_instances do not go with scale_compute:"
            " name the host's node as scalable_entity_name instead"
        )


def _target(view: DeploymentView, parameters: Json) -> Target:
    return find_target(view, parameters["scalable_entity_name"], scale_compute=parameters["scale_compute"])


def _scale_out(view: DeploymentView, parameters: Json) -> StagePlan:
    _refuse_unfinished(view)
    target = _target(view, parameters)
    count = new_count(target, parameters["delta"])
    change = difference(view, target, count, removal_hints(view, target, (), ()))
    added = tuple(replace(each, system_properties={MODIFICATION: "added"}) for each in change.added)
    future = change.applied_to(view)
    ids = [each.id for each in added]
    return StagePlan(
        graph=install_graph(future, ids),
        before=(
            ModelChange(kind=ChangeKind.ADD_INSTANCES, payload={"instances": list(added)}),
            *_relink(change),
        ),
        after=(
            _set_scale(target, count),
            ModelChange(kind=ChangeKind.CLEAR_SYSTEM_PROPERTIES, payload={"instances": ids, "names": [MODIFICATION]}),
        ),
    )


def _scale_in(view: DeploymentView, parameters: Json) -> StagePlan:
    _refuse_unfinished(view)
    target = _target(view, parameters)
    count = new_count(target, parameters["delta"])
    hints = removal_hints(view, target, parameters["include_instances"], parameters["exclude_instances"])
    change = difference(view, target, count, hints)
    ids = [each.id for each in change.removed]
    return StagePlan(
        graph=uninstall_graph(view, ids, Options(ignore_failure=parameters["ignore_failure"])),
        after=(
            *_relink(change),
            ModelChange(kind=ChangeKind.REMOVE_INSTANCES, payload={"instances": ids}),
            _set_scale(target, count),
        ),
    )


def _undo(view: DeploymentView) -> StagePlan:
    """Plan the end of what an unfinished scale-out added."""
    ids = _unfinished(view)
    gone = set(ids)
    relinked = [
        replace(each, relationships=tuple(r for r in each.relationships if r.target_instance not in gone))
        for each in view.instances.values()
        if each.id not in gone and any(r.target_instance in gone for r in each.relationships)
    ]
    return StagePlan(
        graph=uninstall_graph(view, ids, Options(ignore_failure=True)),
        after=(
            *_relink(Difference(added=(), removed=(), relinked=tuple(relinked))),
            ModelChange(kind=ChangeKind.REMOVE_INSTANCES, payload={"instances": ids}),
        ),
    )


def _unfinished(view: DeploymentView) -> list[str]:
    return [each.id for each in view.instances.values() if MODIFICATION in each.system_properties]


def _refuse_unfinished(view: DeploymentView) -> None:
    unfinished = _unfinished(view)
    if unfinished:
        raise PlanError(
            f"an earlier scale-out of deployment {view.id!r} is not finished: {', '.join(unfinished)};"
            " resume it, or scale with abort_started to undo it first"
        )


def _relink(change: Difference) -> tuple[ModelChange, ...]:
    if not change.relinked:
        return ()
    instances = [relationship_changes(each) for each in change.relinked]
    return (ModelChange(kind=ChangeKind.UPDATE_INSTANCES, payload={"instances": instances}),)


def _set_scale(target: Target, count: int) -> ModelChange:
    kind = "scaling_groups" if target.is_group else "nodes"
    numbers = {"current_instances": count, "planned_instances": count}
    return ModelChange(kind=ChangeKind.SET_SCALE, payload={kind: {target.name: numbers}})
