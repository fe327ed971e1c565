"""What an update does for what stays: it is asked how it is, healed, updated where it stands, or reinstalled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outrider.dispatcher.workflows.checks import drift_graph
from outrider.dispatcher.workflows.graph import LEAVE, ChangeKind, ModelChange, Record, Stage, StagePlan
from outrider.dispatcher.workflows.heal import heal_stages, is_lost, status_stage
from outrider.dispatcher.workflows.install import install_graph
from outrider.dispatcher.workflows.lifecycle import STARTED
from outrider.dispatcher.workflows.records import relationship_changes
from outrider.dispatcher.workflows.steps import Options
from outrider.dispatcher.workflows.topology import contained_subgraph
from outrider.dispatcher.workflows.uninstall import uninstall_graph
from outrider.dispatcher.workflows.update_model import is_marked, marked, unmark, wanted_by
from outrider.dispatcher.workflows.update_operations import has_drifted, update_operations_plan
from outrider.dispatcher.workflows.view import DeploymentView

Json = Mapping[str, Any]


def question_stages(parameters: Json) -> list[Stage]:
    """Return the stage that asks what stays for its status.

    It comes before anything changes: asked by the new plan's inputs, what has yet to be updated would seem ill.
    """

    def staying(view: DeploymentView) -> frozenset[str]:
        return _started(view) & wanted_by(view, parameters["plan"]).keys()

    return [] if parameters["skip_heal"] else [status_stage(staying, prefix="update-")]


def repair_stages(parameters: Json, options: Options) -> list[Stage]:
    """Return the stages between those that take down and those that bring up."""
    stages = []
    if not parameters["skip_drift_check"]:
        stages.append(Stage(name="update-check-drift", plan=_check_drift))
    if not parameters["force_reinstall"]:
        if not parameters["skip_heal"]:
            stages.extend(heal_stages(_judged, prefix="update-"))
        stages.append(_operations(parameters))
    if not parameters["skip_reinstall"]:
        stages.extend(_reinstall(parameters, options))
    return stages


def _check_drift(view: DeploymentView) -> StagePlan:
    return StagePlan(graph=drift_graph(view, _started(view), ordered=True, ignore_failure=True))


def _operations(parameters: Json) -> Stage:
    # Where nothing makes up for a failed update operation, it fails the update.
    forgiving = parameters["ignore_failure"] or not parameters["skip_reinstall"]

    def plan(view: DeploymentView) -> StagePlan:
        chosen = _started(view) - _lost(view, parameters)
        return update_operations_plan(view, chosen, recovery=LEAVE if forgiving else None)

    return Stage(name="update-operations", plan=plan)


def _reinstall(parameters: Json, options: Options) -> tuple[Stage, Stage]:
    def down(view: DeploymentView) -> StagePlan:
        drifted = {each for each in _started(view) if has_drifted(view, view.instances[each])}
        asked = set(parameters["reinstall_list"]) & view.instances.keys()
        roots = drifted | asked | _lost(view, parameters) | _left_by_others(view)
        chosen = contained_subgraph(view, roots)
        noted = [marked(view.instances[each]) for each in sorted(chosen)]
        changes = [{**relationship_changes(each), "system_properties": each.system_properties} for each in noted]
        stale = {each.id for each in view.instances.values() if is_marked(each)} - chosen
        return StagePlan(
            graph=uninstall_graph(view, chosen, options),
            before=(
                unmark(stale),
                ModelChange(kind=ChangeKind.UPDATE_INSTANCES, payload={"instances": changes}),
            ),
        )

    def up(view: DeploymentView) -> StagePlan:
        chosen = {each.id for each in view.instances.values() if is_marked(each) and each.state != STARTED}
        return StagePlan(graph=install_graph(view, chosen), after=(unmark(view.instances),))

    return Stage(name="update-reinstall-uninstall", plan=down), Stage(name="update-reinstall-install", plan=up)


def _left_by_others(view: DeploymentView) -> set[str]:
    """Return what an earlier update that failed was bringing up; nothing where all was taken down since."""
    if not _started(view):
        return set()
    return {each.id for each in view.instances.values() if is_marked(each) and each.state != STARTED}


def _lost(view: DeploymentView, parameters: Json) -> frozenset[str]:
    """Return what runs, is ill, and could not be healed."""
    if parameters["skip_heal"]:
        return frozenset()
    tried = not parameters["force_reinstall"]
    return frozenset(each for each in _judged(view) if is_lost(view, view.instances[each], may_heal=tried))


def _judged(view: DeploymentView) -> frozenset[str]:
    """Return what runs and has said how it is; the others are believed to be well."""
    return frozenset(each for each in _started(view) if Record.STATUS.value in view.instances[each].system_properties)


def _started(view: DeploymentView) -> frozenset[str]:
    return frozenset(each.id for each in view.instances.values() if each.state == STARTED)
