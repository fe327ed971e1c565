"""`update`: move a deployment to another plan (another blueprint, other inputs).

The parameter `plan` is the deployment plan to reach, as `dispatcher.blueprint` prepared it; whoever starts the update
puts it there, so that a resumed execution has the same one. Each stage compares the deployment as it is with that plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from outrider.dispatcher.workflows.builder import Chain, GraphBuilder
from outrider.dispatcher.workflows.graph import ChangeKind, ModelChange, Stage, StagePlan, Subgraph, TaskGraph, Workflow
from outrider.dispatcher.workflows.lifecycle import ESTABLISH, STARTED, UNLINK, add_install, add_uninstall
from outrider.dispatcher.workflows.ordering import order_chains
from outrider.dispatcher.workflows.records import relationship_changes
from outrider.dispatcher.workflows.recovery import prepare_resume, recover
from outrider.dispatcher.workflows.scaling import compare, current_counts, plan_of, wanted_instances
from outrider.dispatcher.workflows.steps import DEFAULT_OPTIONS, InstanceChain, Options, RelationshipStep
from outrider.dispatcher.workflows.update_model import (
    Link,
    combined_plan,
    drifted,
    final_plan,
    link,
    links,
    marked,
    moved,
    side_by_side,
    unmark,
    wanted_by,
)
from outrider.dispatcher.workflows.update_repair import question_stages, repair_stages
from outrider.dispatcher.workflows.view import DeploymentView, InstanceView

Json = Mapping[str, Any]
#: What whoever starts an update decides about its steps.
UPDATE_OPTIONS = (
    "skip_install",
    "skip_uninstall",
    "skip_reinstall",
    "skip_drift_check",
    "skip_heal",
    "force_reinstall",
    "install_first",
    "ignore_failure",
)
#: Instance id → relationships.
Links = Mapping[str, frozenset[Link]]

_NOTHING = TaskGraph(tasks={}, dependencies={})


def plan_update(parameters: Json, _view: DeploymentView) -> Workflow:
    """Plan the workflow `update`."""
    if parameters["preview"]:
        return Workflow(name="update", stages=(_stage("preview", lambda _now: StagePlan(graph=_NOTHING)),))
    options = Options(ignore_failure=parameters["ignore_failure"])
    leave = _stage("update-uninstall", partial(_leave, parameters=parameters, options=options))
    ask, repair = question_stages(parameters), repair_stages(parameters, options)
    if parameters["install_first"]:
        stages = (*ask, _stage("update-install", partial(_arrive_first, parameters=parameters)), *repair, leave)
    else:
        stages = (*ask, leave, *repair, _stage("update-install", partial(_arrive, parameters=parameters)))
    return Workflow(name="update", stages=stages, recover=recover, prepare_resume=prepare_resume)


def _stage(name: str, plan: Callable[[DeploymentView], StagePlan]) -> Stage:
    return Stage(name=name, plan=plan)


def _leave(view: DeploymentView, parameters: Json, options: Options) -> StagePlan:
    """Plan the end of what the new plan does not have, and then the new plan itself."""
    plan = parameters["plan"]
    wanted = wanted_by(view, plan)
    removed = compare(view, wanted.values()).removed
    reduced = {each.id: links(each) - links(wanted[each.id]) for each in view.instances.values() if each.id in wanted}
    nodes = {node["id"]: node for node in plan["nodes"]}
    trust = not parameters["skip_drift_check"]
    kept = [
        moved(view, each, nodes[each.node], trust_checks=trust) for each in wanted.values() if each.id in view.instances
    ]
    return StagePlan(
        graph=_NOTHING if parameters["skip_uninstall"] else _leaving_graph(view, removed, reduced, options),
        after=(
            ModelChange(kind=ChangeKind.REMOVE_INSTANCES, payload={"instances": [each.id for each in removed]}),
            _new_plan(final_plan(view, plan), parameters),
            ModelChange(kind=ChangeKind.UPDATE_INSTANCES, payload={"instances": kept}),
        ),
    )


def _leaving_graph(
    view: DeploymentView, removed: Iterable[InstanceView], reduced: Links, options: Options
) -> TaskGraph:
    builder = GraphBuilder()
    chains = {each.id: add_uninstall(builder, view, each, options=options) for each in removed}
    chains |= _relationship_chains(builder, view, UNLINK, reduced, options)
    order_chains(builder, view, chains, reverse=True)
    return builder.build()


def _arrive(view: DeploymentView, parameters: Json) -> StagePlan:
    """Plan the beginning of what the present plan has and the deployment does not."""
    change = compare(view, wanted_instances(view, plan_of(view), current_counts(view), {}))
    extended = {each.id: links(each) - links(view.instances[each.id]) for each in change.relinked}
    return _arrival(
        change.applied_to(view),
        change.added,
        extended,
        changed=[relationship_changes(each) for each in change.relinked],
        skip=parameters["skip_install"],
    )


def _arrive_first(view: DeploymentView, parameters: Json) -> StagePlan:
    """Plan the beginning of what the new plan has, beside everything that the old one had."""
    wanted = wanted_by(view, parameters["plan"])
    added = compare(view, wanted.values()).added
    plan = combined_plan(view, parameters["plan"])
    present = side_by_side(view, wanted, plan)
    nodes = {node["id"]: node for node in plan["nodes"]}
    trust = not parameters["skip_drift_check"]
    future = replace(
        view,
        nodes=nodes,
        scaling_groups=plan["scaling_groups"],
        instances={**present, **{each.id: each for each in added}},
    )
    changed = [
        {**relationship_changes(each), "system_properties": drifted(view, each, nodes[each.node], trust_checks=trust)}
        for each in present.values()
    ]
    extended = {each.id: links(each) - links(view.instances[each.id]) for each in present.values()}
    arrival = _arrival(future, added, extended, changed=changed, skip=parameters["skip_install"])
    return replace(arrival, before=(_new_plan(plan, parameters), *arrival.before))


def _arrival(
    future: DeploymentView, added: Iterable[InstanceView], extended: Links, *, changed: Sequence[Json], skip: bool
) -> StagePlan:
    """Plan what comes: the model first, then its installation, unless that is skipped."""
    builder = GraphBuilder()
    new = tuple(added)
    if not skip:
        chains = {each.id: add_install(builder, future, each) for each in new}
        chains |= _relationship_chains(builder, future, ESTABLISH, extended, DEFAULT_OPTIONS)
        order_chains(builder, future, chains)
    # What is not installed here is nobody's to finish.
    stored = new if skip else tuple(marked(each) for each in new)
    return StagePlan(
        graph=builder.build(),
        before=(
            ModelChange(kind=ChangeKind.ADD_INSTANCES, payload={"instances": list(stored)}),
            ModelChange(kind=ChangeKind.UPDATE_INSTANCES, payload={"instances": list(changed)}),
        ),
        after=(unmark(each.id for each in new),),
    )


def _relationship_chains(
    builder: GraphBuilder, view: DeploymentView, step: RelationshipStep, of: Links, options: Options
) -> dict[str, InstanceChain]:
    """Add one relationship operation for these relationships of the instances that live."""
    chains = {}
    for instance_id, chosen in of.items():
        instance = view.instances[instance_id]
        if chosen and instance.state == STARTED:
            name = f"{step.name}_{instance.id}"
            builder.add_subgraph(Subgraph(id=name, instance=instance.id))
            chain = chains[instance_id] = InstanceChain(Chain(builder, name), view, instance, options)
            chain.append_relationships(step, wanted=partial(_is_among, chosen))
    return chains


def _is_among(chosen: frozenset[Link], relationship: Any) -> bool:
    return link(relationship) in chosen


def _new_plan(plan: Json, parameters: Json) -> ModelChange:
    payload = {"plan": plan, "blueprint_id": parameters["blueprint_id"]}
    return ModelChange(kind=ChangeKind.REPLACE_PLAN, payload=payload)
