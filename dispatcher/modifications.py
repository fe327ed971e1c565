"""Modifications: how a plugin's workflow function changes the number of instances, in two steps.

Starting one adds the new instances, marked as unfinished, and says which are to go; the function installs the ones and
uninstalls the others; then it finishes the modification, or rolls it back. What was started is kept with the
deployment under a name, so that a function that is called again after a crash finds its modification as it is, and
finishing one twice changes nothing. Called by `function_requests`, in the engine's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any

from outrider.dispatcher import model_changes
from outrider.dispatcher.blueprint.instances import Hints
from outrider.dispatcher.errors import DispatcherError
from outrider.dispatcher.model import Model
from outrider.dispatcher.run import Run
from outrider.dispatcher.store import deployments
from outrider.dispatcher.turn import Turn
from outrider.dispatcher.workflows.graph import ChangeKind, ModelChange
from outrider.dispatcher.workflows.records import relationship_changes
from outrider.dispatcher.workflows.scaling import (
    MODIFICATION,
    Difference,
    compare,
    current_counts,
    find_target,
    new_count,
    plan_of,
    removal_hints,
    wanted_instances,
)
from outrider.dispatcher.workflows.view import DeploymentView, InstanceView

Json = Mapping[str, Any]

#: Where a deployment's details keep them.
_KEPT = "modifications"


class ModificationRefused(DispatcherError):
    """A workflow function asked for a modification that cannot be made; the text names it."""


class State(str, Enum):
    """How far a modification is."""

    STARTED = "started"
    FINISHED = "finished"
    ROLLED_BACK = "rolledback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Modification:
    """One change of the number of instances."""

    id: str
    execution_id: str
    state: State
    #: Node or scaling group → number of instances before and after.
    before: Mapping[str, int]
    counts: Mapping[str, int]
    groups: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    #: Instances at the other ends of their relationships.
    added_related: tuple[str, ...]
    removed_related: tuple[str, ...]

    @classmethod
    def read(cls, stored: Json) -> Modification:
        """Return what `asdict` wrote."""
        lists = ("groups", "added", "removed", "added_related", "removed_related")
        return cls(**{**stored, "state": State(stored["state"]), **{name: tuple(stored[name]) for name in lists}})


def start(turn: Turn, run: Run, payload: Json) -> Json:
    """Add what a modification adds; ``payload``: a name, and the numbers and hints by node or scaling group."""
    model, execution_id = _model_of(run), run.id
    modification_id = f"{execution_id}:{payload['name']}"
    known = _kept(model)
    if modification_id in known:
        return asdict(known[modification_id])
    other = next((each for each in known.values() if each.state is State.STARTED), None)
    if other is not None:
        raise ModificationRefused(
            f"modification {other.id} of {', '.join(other.counts)} is started already; finish it or roll it back first"
        )
    view = model.view()
    modification, change = _planned(view, modification_id, execution_id, payload["nodes"])
    marked = [replace(each, system_properties={MODIFICATION: "added"}) for each in change.added]
    relinked = [_with_links_to(each, view.instances[each.id], modification.removed) for each in change.relinked]
    changes = (
        ModelChange(kind=ChangeKind.ADD_INSTANCES, payload={"instances": marked}),
        _relink(relinked),
        _scale(modification, {"planned_instances": modification.counts}),
    )
    # Those of earlier executions have been finished, and nobody will ask for them again.
    kept = {each.id: each for each in known.values() if each.execution_id == execution_id}
    _write(turn, model, changes, {**kept, modification_id: modification})
    return asdict(modification)


def finish(turn: Turn, run: Run, payload: Json) -> Json:
    """Make a started modification final: what it removes is gone."""
    model, modification = _started(run, payload, State.FINISHED)
    if modification is None:
        return {}
    changes = (
        _relink(_without_links_to(model, modification.removed)),
        ModelChange(kind=ChangeKind.REMOVE_INSTANCES, payload={"instances": list(modification.removed)}),
        _unmark(modification.added),
        _scale(modification, {"current_instances": modification.counts, "planned_instances": modification.counts}),
    )
    _end(turn, model, changes, replace(modification, state=State.FINISHED))
    return {}


def roll_back(turn: Turn, run: Run, payload: Json) -> Json:
    """Take back a started modification: what it added is gone; to uninstall that first is the function's business."""
    model, modification = _started(run, payload, State.ROLLED_BACK)
    if modification is None:
        return {}
    changes = (
        _relink(_without_links_to(model, modification.added)),
        ModelChange(kind=ChangeKind.REMOVE_INSTANCES, payload={"instances": list(modification.added)}),
        _scale(modification, {"planned_instances": modification.before}),
    )
    _end(turn, model, changes, replace(modification, state=State.ROLLED_BACK))
    return {}


def list_started(_turn: Turn, run: Run, _payload: Json) -> Json:
    """Return the modifications that are started, of whichever execution."""
    return {"started": [asdict(each) for each in _kept(_model_of(run)).values() if each.state is State.STARTED]}


def _planned(view: DeploymentView, id_: str, execution_id: str, nodes: Json) -> tuple[Modification, Difference]:
    before = current_counts(view)
    counts: dict[str, int] = {}
    hints: dict[str, Hints] = {}
    groups = []
    for name, wanted in nodes.items():
        target = find_target(view, name, scale_compute=False)
        counts[name] = new_count(target, int(wanted["instances"]) - target.current)
        included = wanted.get("removed_ids_include_hint") or ()
        hints[name] = removal_hints(view, target, included, wanted.get("removed_ids_exclude_hint") or ())
        if target.is_group:
            groups.append(name)
    change = compare(view, wanted_instances(view, plan_of(view), {**before, **counts}, hints))
    added, removed = ({each.id for each in found} for found in (change.added, change.removed))
    after = change.applied_to(view).instances
    modification = Modification(
        id=id_,
        execution_id=execution_id,
        state=State.STARTED,
        before={name: before.get(name, 1) for name in counts},
        counts=counts,
        groups=tuple(groups),
        added=tuple(sorted(added)),
        removed=tuple(sorted(removed)),
        added_related=_related(after, added),
        removed_related=_related(view.instances, removed),
    )
    return modification, change


def _related(instances: Mapping[str, InstanceView], of: Collection[str]) -> tuple[str, ...]:
    """Return the instances outside of some that have relationships with them, either way."""
    found = set()
    for each in instances.values():
        targets = {link.target_instance for link in each.relationships}
        if each.id in of:
            found |= targets
        elif not targets.isdisjoint(of):
            found.add(each.id)
    return tuple(sorted(found.difference(of)))


def _with_links_to(new: InstanceView, old: InstanceView, kept: Collection[str]) -> InstanceView:
    """Return an instance as it shall be, still linked with those that go only when the modification is finished."""
    lasting = tuple(each for each in old.relationships if each.target_instance in kept)
    return replace(new, relationships=(*new.relationships, *lasting))


def _without_links_to(model: Model, gone: Collection[str]) -> list[InstanceView]:
    return [
        replace(each, relationships=tuple(link for link in each.relationships if link.target_instance not in gone))
        for each in model.instances.values()
        if each.id not in gone and any(link.target_instance in gone for link in each.relationships)
    ]


def _relink(instances: Iterable[InstanceView]) -> ModelChange:
    changed = [relationship_changes(each) for each in instances]
    return ModelChange(kind=ChangeKind.UPDATE_INSTANCES, payload={"instances": changed})


def _unmark(instances: Iterable[str]) -> ModelChange:
    payload = {"instances": list(instances), "names": [MODIFICATION]}
    return ModelChange(kind=ChangeKind.CLEAR_SYSTEM_PROPERTIES, payload=payload)


def _scale(modification: Modification, numbers: Mapping[str, Mapping[str, int]]) -> ModelChange:
    payload: dict[str, dict[str, dict[str, int]]] = {"nodes": {}, "scaling_groups": {}}
    for name in modification.counts:
        kind = "scaling_groups" if name in modification.groups else "nodes"
        payload[kind][name] = {key: counts[name] for key, counts in numbers.items()}
    return ModelChange(kind=ChangeKind.SET_SCALE, payload=payload)


def _model_of(run: Run) -> Model:
    if run.model is None:
        raise ModificationRefused("the execution has no deployment whose instances could be changed")
    if run.execution.dry_run:
        raise ModificationRefused("a dry run changes nothing, so it cannot show what a modification would lead to")
    return run.model


def _kept(model: Model) -> dict[str, Modification]:
    stored = model.deployment.details.get(_KEPT) or {}
    return {id_: Modification.read(each) for id_, each in stored.items()}


def _started(run: Run, payload: Json, wanted: State) -> tuple[Model, Modification | None]:
    """Return the modification that a request is about; None if it has come to where it is wanted before."""
    model, id_ = _model_of(run), str(payload["id"])
    found = _kept(model).get(id_)
    if found is None:
        raise ModificationRefused(f"deployment {model.key[1]!r} has no modification {id_!r}")
    if found.state is wanted:
        return model, None
    if found.state is not State.STARTED:
        raise ModificationRefused(f"modification {id_} is {found.state.value} already")
    return model, found


def _end(turn: Turn, model: Model, changes: Iterable[ModelChange], ended: Modification) -> None:
    _write(turn, model, changes, {**_kept(model), ended.id: ended})


def _write(turn: Turn, model: Model, changes: Iterable[ModelChange], kept: Mapping[str, Modification]) -> None:
    model_changes.apply(turn.connection, model, changes, now=turn.stored_now)
    details = {**model.deployment.details, _KEPT: {id_: asdict(each) for id_, each in kept.items()}}
    deployments.update(turn.connection, model.key, {"details": details}, now=turn.stored_now)
    model.reload(turn.connection)
