"""Whether a workflow may be started on a deployment as it is now, by its availability rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outrider.dispatcher.workflows.catalog import BUILT_IN
from outrider.dispatcher.workflows.definition import Rules
from outrider.dispatcher.workflows.errors import WorkflowUnavailable
from outrider.dispatcher.workflows.lifecycle import DELETED, STARTED, UNINITIALIZED
from outrider.dispatcher.workflows.topology import node_types
from outrider.dispatcher.workflows.view import DeploymentView

_WORDS = {"all": "all are started", "partial": "some are active", "none": "none is started"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """The answer; `reason` says what stands in the way, and is empty when nothing does."""

    available: bool
    reason: str = ""


def availability(workflow: str, view: DeploymentView) -> Availability:
    """Tell whether a workflow is available: a built-in one, or one of the plan's by its ``availability_rules``.

    Forced and resumed executions are not asked to obey.
    """
    rules = _rules(workflow, view)
    if not rules.available:
        return Availability(available=False, reason=f"workflow {workflow!r} is switched off by the blueprint")
    if rules.node_types_required and not _has_type(view, rules.node_types_required):
        wanted = " or ".join(rules.node_types_required)
        return Availability(available=False, reason=f"workflow {workflow!r} needs a node of type {wanted}")
    if not active_share(view).intersection(rules.node_instances_active):
        return Availability(available=False, reason=_inactive_reason(workflow, rules, view))
    return Availability(available=True)


def require_available(workflow: str, view: DeploymentView) -> None:
    """Raise `WorkflowUnavailable` if the rules forbid a workflow now."""
    found = availability(workflow, view)
    if not found.available:
        raise WorkflowUnavailable(found.reason)


def active_share(view: DeploymentView) -> frozenset[str]:
    """Return which of ``all``, ``partial``, ``none`` describe the deployment's instances; several may.

    A deployment without instances is both ``all`` and ``none``; one that has begun but started nothing yet is both
    ``partial`` and ``none``.
    """
    states = [each.state for each in view.instances.values()]
    started = states.count(STARTED)
    found = set()
    if started == len(states):
        found.add("all")
    elif any(state not in {UNINITIALIZED, DELETED} for state in states):
        found.add("partial")
    if not started:
        found.add("none")
    return frozenset(found)


def _rules(workflow: str, view: DeploymentView) -> Rules:
    definition = BUILT_IN.get(workflow)
    if definition is not None:
        return definition.rules
    entry: Mapping[str, Any] = (view.plan.get("workflows") or {}).get(workflow) or {}
    given: Mapping[str, Any] = entry.get("availability_rules") or {}
    return Rules(
        available=given.get("available", True),
        node_instances_active=tuple(given.get("node_instances_active") or ("all", "partial", "none")),
        node_types_required=tuple(given.get("node_types_required") or ()),
    )


def _has_type(view: DeploymentView, wanted: tuple[str, ...]) -> bool:
    return any(not set(wanted).isdisjoint(node_types(node)) for node in view.nodes.values())


def _inactive_reason(workflow: str, rules: Rules, view: DeploymentView) -> str:
    started = sum(each.state == STARTED for each in view.instances.values())
    wanted = " or ".join(_WORDS[each] for each in rules.node_instances_active)
    return (
        f"workflow {workflow!r} can run when {wanted}, but {started} of {len(view.instances)} instances are started;"
        " force it to run it nevertheless (outrider run --force)"
    )
