"""The order between instances: who waits for whom when chains of several instances are put into one graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from outrider.dispatcher.workflows.builder import GraphBuilder
from outrider.dispatcher.workflows.graph import Task, TaskKind
from outrider.dispatcher.workflows.steps import InstanceChain
from outrider.dispatcher.workflows.topology import AFTER_OPERATION, LIFECYCLE
from outrider.dispatcher.workflows.view import DeploymentView, InstanceView

Chains = Mapping[str, InstanceChain]
#: Instance id → (ids of its first tasks, ids of its last tasks).
Ends = Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]


def order_chains(builder: GraphBuilder, view: DeploymentView, chains: Chains, *, reverse: bool = False) -> None:
    """Make each chain wait for those that its instance depends on, or the other way round with `reverse`.

    An instance without tasks of its own (not selected, or nothing to do) passes the order on, so that two chains that
    depend on each other through it keep their order.
    """
    ends = {each: (chain.chain.first, chain.chain.last) for each, chain in chains.items() if chain.chain.first}
    for passing in _between(view, set(ends)):
        join = builder.add(Task(id=f"pass_{passing}", kind=TaskKind.JOIN))
        ends[passing] = ((join,), (join,))
    if reverse:
        _order_reversed(builder, view, ends)
        return
    early = _early_operations(view)
    for instance_id, (first, _last) in ends.items():
        builder.wait(first, _awaited(view.instances[instance_id], chains, ends, early))


#: (node, place of the relationship) → the operation of the target that is enough to wait for.
Early = Mapping[tuple[str, int], str]


def _awaited(instance: InstanceView, chains: Chains, ends: Ends, early: Early) -> Iterator[str]:
    for relationship in instance.relationships:
        target = relationship.target_instance
        if target not in ends:
            continue
        operation = early.get((instance.node, relationship.index)) if early else None
        chain = chains.get(target) if operation else None
        task_id = chain.task_of.get(operation) if chain and operation else None
        yield from chain.chain.following(task_id) if chain and task_id else ends[target][1]


def _early_operations(view: DeploymentView) -> Early:
    found: dict[tuple[str, int], str] = {}
    for name, node in view.nodes.items():
        for index, record in enumerate(node.get("relationships") or ()):
            if AFTER_OPERATION in (record.get("type_hierarchy") or (record.get("type"),)):
                operation = str((record.get("properties") or {}).get("operation") or "")
                found[name, index] = operation if "." in operation else f"{LIFECYCLE}.{operation}"
    return found


def _order_reversed(builder: GraphBuilder, view: DeploymentView, ends: Ends) -> None:
    awaited: dict[str, list[str]] = {}
    for instance_id, (_first, last) in ends.items():
        for relationship in view.instances[instance_id].relationships:
            if relationship.target_instance in ends:
                awaited.setdefault(relationship.target_instance, []).extend(last)
    for instance_id, predecessors in awaited.items():
        builder.wait(ends[instance_id][0], predecessors)


def _between(view: DeploymentView, present: set[str]) -> list[str]:
    """Return the instances without tasks that lie on a path between two that have some."""
    if len(present) == len(view.instances):
        return []
    below = _reachable(present, {each.id: [r.target_instance for r in each.relationships] for each in _all(view)})
    incoming: dict[str, list[str]] = {}
    for instance in _all(view):
        for relationship in instance.relationships:
            incoming.setdefault(relationship.target_instance, []).append(instance.id)
    above = _reachable(present, incoming)
    return [each for each in view.instances if each in below and each in above and each not in present]


def _all(view: DeploymentView) -> Iterator[InstanceView]:
    return iter(view.instances.values())


def _reachable(start: set[str], edges: Mapping[str, list[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        for target in edges.get(waiting.pop(), ()):
            if target not in found:
                found.add(target)
                waiting.append(target)
    return found
