"""`heal`: find out what is ill, heal what can heal itself, reinstall the rest.

Each step is a stage of its own, as the next one depends on what the one before found out. What healing did is kept in
the instance's system property ``heal`` until the next `heal`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from outrider.dispatcher.workflows.checks import CHECK_STATUS, status_graph
from outrider.dispatcher.workflows.errors import PlanError
from outrider.dispatcher.workflows.execute_operation import Request, operation_graph
from outrider.dispatcher.workflows.graph import (
    ChangeKind,
    ModelChange,
    Record,
    Stage,
    StagePlan,
    TaskGraph,
    Workflow,
)
from outrider.dispatcher.workflows.lifecycle import DELETED, STARTED, UNINITIALIZED
from outrider.dispatcher.workflows.recovery import recover
from outrider.dispatcher.workflows.reinstall import reinstall_stages
from outrider.dispatcher.workflows.steps import Options
from outrider.dispatcher.workflows.topology import LIFECYCLE, contained_subgraph, node_implements
from outrider.dispatcher.workflows.view import DeploymentView, InstanceView

HEAL = f"{LIFECYCLE}.heal"

#: Which instances are looked at, by the deployment as it is when a stage begins.
Scope = Callable[[DeploymentView], frozenset[str]]


def plan_heal(parameters: Mapping[str, Any], view: DeploymentView) -> Workflow:
    """Plan the workflow `heal`. Raises PlanError for an instance that the deployment does not have."""
    target = parameters["node_instance_id"]
    if target and target not in view.instances:
        raise PlanError(f"deployment {view.id!r} has no node instance {target!r} to heal")

    def scope(now: DeploymentView) -> frozenset[str]:
        return _on_host_of(now, target)

    stages: list[Stage] = []
    if not parameters["force_reinstall"]:
        if parameters["check_status"]:
            stages.append(status_stage(scope))
        stages.extend(heal_stages(scope))
    options = Options(ignore_failure=parameters["ignore_failure"])

    def reinstalled(now: DeploymentView) -> frozenset[str]:
        if parameters["force_reinstall"]:
            return scope(now)
        lost = [each for each in scope(now) if is_lost(now, now.instances[each])]
        if lost and not parameters["allow_reinstall"]:
            raise PlanError(
                f"cannot heal {', '.join(sorted(lost))} without reinstalling, and allow_reinstall is off;"
                " mend by hand, or allow it"
            )
        return contained_subgraph(now, lost)

    def interrupted(now: DeploymentView) -> frozenset[str]:
        # What the stage before took down: it is not started any more.
        return frozenset(each for each in scope(now) if now.instances[each].state in {DELETED, UNINITIALIZED})

    stages.extend(reinstall_stages(reinstalled, interrupted, options))
    return Workflow(name="heal", stages=tuple(stages), recover=recover)


def status_stage(scope: Scope, *, prefix: str = "") -> Stage:
    """Return the stage that asks how the instances are."""
    return Stage(name=f"{prefix}check_status", plan=lambda now: StagePlan(graph=status_graph(now, scope(now))))


def heal_stages(scope: Scope, *, prefix: str = "") -> list[Stage]:
    """Return the stages that heal what is ill and can heal itself; `is_lost` tells afterwards what is left."""

    def preheal(now: DeploymentView) -> StagePlan:
        forgotten = ModelChange(
            kind=ChangeKind.CLEAR_SYSTEM_PROPERTIES,
            payload={"instances": sorted(scope(now)), "names": [Record.HEAL.value]},
        )
        return StagePlan(graph=_heal_graph(now, "preheal", scope(now), after_failure=True), before=(forgotten,))

    return [
        Stage(name=f"{prefix}preheal", plan=preheal),
        Stage(name=f"{prefix}heal", plan=lambda now: StagePlan(graph=_heal_graph(now, "heal", scope(now)))),
        Stage(name=f"{prefix}postheal", plan=lambda now: StagePlan(graph=_heal_graph(now, "postheal", scope(now)))),
    ]


def _heal_graph(view: DeploymentView, name: str, scope: frozenset[str], *, after_failure: bool = False) -> TaskGraph:
    """Return the graph of one of the three operations, for those whose earlier ones did not fail."""
    request = Request(operation=f"{LIFECYCLE}.{name}", ordered=True, ignore_failure=True, record=Record.HEAL)
    chosen = frozenset(
        each
        for each in scope
        if is_ill(view, view.instances[each])
        and node_implements(view.nodes[view.instances[each].node], HEAL)
        and (after_failure or not _heal_failed(view.instances[each]))
    )
    return operation_graph(view, request, chosen)


def _on_host_of(view: DeploymentView, target: str) -> frozenset[str]:
    """Return the instances on the same host as the target, the host included; without a target, all."""
    if not target:
        return frozenset(view.instances)
    instance = view.instances[target]
    return contained_subgraph(view, (instance.host or instance.id,))


def is_ill(view: DeploymentView, instance: InstanceView) -> bool:
    """Tell whether an instance's last check of its status failed, or it does not run, or was never asked."""
    status = instance.system_properties.get(Record.STATUS.value)
    if isinstance(status, Mapping):
        return not status.get("ok")
    # Never checked: what cannot be checked is believed to be well as long as it runs.
    return instance.state != STARTED or node_implements(view.nodes[instance.node], CHECK_STATUS)


def _heal_failed(instance: InstanceView) -> bool:
    outcome = instance.system_properties.get(Record.HEAL.value)
    return isinstance(outcome, Mapping) and not outcome.get("ok")


def is_lost(view: DeploymentView, instance: InstanceView, *, may_heal: bool = True) -> bool:
    """Tell whether only a reinstallation is left; without `may_heal`, also where healing was not tried."""
    if not is_ill(view, instance):
        return False
    return not may_heal or _heal_failed(instance) or not node_implements(view.nodes[instance.node], HEAL)
