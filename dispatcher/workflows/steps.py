"""The steps that one instance goes through, as data, and how a step becomes tasks.

A step is an operation with the states around it. An operation that the node does not implement takes its whole step
away, states included.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from outrider.dispatcher.workflows.builder import Chain
from outrider.dispatcher.workflows.graph import Record, Side, Task, TaskKind
from outrider.dispatcher.workflows.topology import (
    RELATIONSHIP,
    implements,
    install_method,
    is_host,
    relationship_implements,
    relationship_record,
)
from outrider.dispatcher.workflows.view import DeploymentView, InstanceRelationship, InstanceView

Json = Mapping[str, Any]

#: Whether a step is meant for this host, by the way in which its agent is installed.
ForMethod = Callable[[str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An operation of the instance's own node, and the states around it."""

    name: str
    operation: str
    state_before: str | None = None
    state_after: str | None = None
    #: Only for hosts whose install method passes; None: for every node.
    for_method: ForMethod | None = None
    until_truthy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationshipStep:
    """A relationship operation, for each relationship of the instance, on both sides."""

    name: str
    reverse: bool = False

    @property
    def operation(self) -> str:
        """The full name of the operation."""
        return f"{RELATIONSHIP}.{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What all tasks of a chain have in common."""

    ignore_failure: bool = False


DEFAULT_OPTIONS = Options()


def any_method(_method: str) -> bool:
    """Fit every host."""
    return True


class InstanceChain:
    """Appends the steps of one instance to a chain and remembers which task runs which operation."""

    def __init__(self, chain: Chain, view: DeploymentView, instance: InstanceView, options: Options) -> None:
        self.chain = chain
        self.instance = instance
        self._view = view
        self._options = options
        self._node = view.nodes[instance.node]
        self._operations: Json = self._node.get("operations") or {}
        self._method = install_method(self._node) if is_host(self._node) else None
        #: Operation → task id, for those who wait for a single operation.
        self.task_of: dict[str, str] = {}

    def applies(self, step: Step | RelationshipStep) -> bool:
        """Tell whether a step has anything to do here."""
        if isinstance(step, RelationshipStep):
            return self._linked(step.operation)
        if step.for_method is not None and (self._method is None or not step.for_method(self._method)):
            return False
        return implements(self._operations, step.operation)

    def append(self, step: Step | RelationshipStep) -> None:
        """Append a step's tasks, if it applies."""
        if isinstance(step, RelationshipStep):
            self.append_relationships(step)
        elif self.applies(step):
            self.set_state(step.state_before)
            self.append_operation(step)
            self.set_state(step.state_after)

    def append_operation(self, step: Step, *, record: Record | None = None) -> None:
        """Append the operation of a step."""
        task = Task(
            id=f"{self.chain.name}.{step.name}",
            kind=TaskKind.OPERATION,
            instance=self.instance.id,
            operation=step.operation,
            subgraph=self.chain.name,
            ignore_failure=self._options.ignore_failure,
            until_truthy=step.until_truthy,
            record=record,
        )
        self.task_of[step.operation] = task.id
        self.chain.step((task,))

    def set_state(self, state: str | None) -> None:
        """Append a change of the instance's state."""
        if state is not None:
            task = Task(
                id=f"{self.chain.name}.{state}",
                kind=TaskKind.SET_STATE,
                instance=self.instance.id,
                state=state,
                subgraph=self.chain.name,
                ignore_failure=self._options.ignore_failure,
            )
            self.chain.step((task,))

    def forget(self, records: Iterable[Record]) -> None:
        """Append that the dispatcher forgets what it keeps of the instance under these names."""
        self.chain.step(
            Task(
                id=f"{self.chain.name}.forget_{record.value}",
                kind=TaskKind.FORGET,
                instance=self.instance.id,
                record=record,
                subgraph=self.chain.name,
            )
            for record in records
        )

    def append_relationships(
        self,
        step: RelationshipStep,
        *,
        wanted: Callable[[InstanceRelationship], bool] | None = None,
        records: Mapping[Side, Record] | None = None,
        sides: Collection[Side] = tuple(Side),
    ) -> None:
        """Append a relationship operation: neighbours in the list with one target node side by side, both sides too."""
        chosen = [each for each in self.instance.relationships if wanted is None or wanted(each)]
        if step.reverse:
            chosen.reverse()
        for _node, group in groupby(chosen, key=lambda each: each.target_node):
            self.chain.step(
                self._relationship_task(step, relationship, side, (records or {}).get(side))
                for relationship in group
                for side in self._implementing(relationship, step.operation)
                if side in sides
            )

    def _linked(self, operation: str) -> bool:
        records = self._node.get("relationships") or ()
        if not any(relationship_implements(record, side, operation) for record in records for side in Side):
            return False
        return any(any(self._implementing(each, operation)) for each in self.instance.relationships)

    def _implementing(self, relationship: InstanceRelationship, operation: str) -> Iterator[Side]:
        if relationship.target_instance in self._view.instances:
            record = relationship_record(self._view, self.instance, relationship)
            for side in Side:
                if relationship_implements(record, side, operation):
                    yield side

    def _relationship_task(
        self, step: RelationshipStep, relationship: InstanceRelationship, side: Side, record: Record | None
    ) -> Task:
        # Two relationships of one node may have the same target, so the place in the list is part of the id.
        place = f"{relationship.index}.{relationship.target_instance}.{side.value}"
        return Task(
            id=f"{self.chain.name}.{step.name}.{place}",
            kind=TaskKind.OPERATION,
            instance=self.instance.id,
            operation=step.operation,
            side=side,
            target=relationship.target_instance,
            relationship=relationship.index,
            subgraph=self.chain.name,
            ignore_failure=self._options.ignore_failure,
            record=record,
        )
