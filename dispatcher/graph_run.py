"""A task graph while it runs: who is ready, who waits for whom. Knows nothing of agents, stores or time.

Tasks are numbered by their place in the graph and everything is kept in lists by that number, because graphs of a
hundred thousand tasks have to stay small.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from outrider.dispatcher.store.tasks import DONE, StoredTask, TaskState
from outrider.dispatcher.workflows.brought import is_function
from outrider.dispatcher.workflows.graph import LEAVE, Subgraph, Task, TaskGraph, TaskKind

#: States from which a task does not move by itself.
RESTING = DONE | {TaskState.FAILED, TaskState.CANCELLED}


class GraphRun:
    """The tasks of one stage."""

    def __init__(self, graph_id: str) -> None:
        self.id = graph_id
        self.tasks: list[Task] = []
        self.dependencies: list[tuple[int, ...]] = []
        self.states: list[TaskState] = []
        #: Number of the current attempt, and retries counted against the limit.
        self.attempts = array("l")
        self.retries = array("l")
        self.ready: deque[int] = deque()
        self.subgraphs: dict[str, Subgraph] = {}
        #: Subgraph id → how many recoveries led to it.
        self.recoveries: dict[str, int] = {}
        self._successors: list[list[int] | None] = []
        self._missing = array("l")
        self._counts = dict.fromkeys(TaskState, 0)

    @classmethod
    def new(cls, graph_id: str, graph: TaskGraph) -> GraphRun:
        """Begin a planned graph."""
        run = cls(graph_id)
        run.extend(graph)
        return run

    @classmethod
    def restored(
        cls, graph_id: str, tasks: Sequence[StoredTask], subgraphs: Mapping[str, Mapping[str, object]]
    ) -> GraphRun:
        """Take up a stored graph."""
        run = cls(graph_id)
        for subgraph_id, stored in subgraphs.items():
            values = dict(stored)
            run.recoveries[subgraph_id] = int(str(values.pop("recoveries", 0)))
            run.subgraphs[subgraph_id] = Subgraph(id=subgraph_id, **values)  # type: ignore[arg-type]
        for stored_task in tasks:
            run._append(stored_task.task, stored_task.dependencies, stored_task.state)
            run.attempts[-1] = stored_task.attempt
            run.retries[-1] = stored_task.retries
        run._link(range(len(run.tasks)))
        return run

    def extend(self, graph: TaskGraph, *, entry: tuple[int, ...] = ()) -> range:
        """Add a planned graph; its tasks that wait for nothing wait for `entry`. Returns the new positions."""
        start = len(self.tasks)
        positions = {name: start + offset for offset, name in enumerate(graph.tasks)}
        self.subgraphs.update(graph.subgraphs)
        for name, task in graph.tasks.items():
            waits = graph.dependencies.get(name, ())
            self._append(task, tuple(positions[each] for each in waits) or entry, TaskState.PENDING)
        added = range(start, len(self.tasks))
        self._link(added)
        return added

    def task_id(self, position: int) -> str:
        """Return the stored id of a task."""
        return f"{self.id}.{position}"

    def move(self, position: int, state: TaskState) -> None:
        """Give a task a state; releases its successors if it is done."""
        before = self.states[position]
        self._counts[before] -= 1
        self._counts[state] += 1
        self.states[position] = state
        if state in DONE and before not in DONE:
            for successor in self._successors[position] or ():
                self._missing[successor] -= 1
                if self._missing[successor] == 0 and self.states[successor] is TaskState.PENDING:
                    self.ready.append(successor)
        elif before in DONE and state not in DONE:
            for successor in self._successors[position] or ():
                self._missing[successor] += 1

    def reset(self, position: int) -> None:
        """Make a failed or cancelled task pending again, with its retries given back."""
        self.retries[position] = 0
        self.move(position, TaskState.PENDING)
        if self._missing[position] == 0:
            self.ready.append(position)

    def wait_for(self, position: int, predecessors: tuple[int, ...]) -> None:
        """Make a pending task wait for these only; one that was ready may have to wait again."""
        if self._missing[position] == 0 and position in self.ready:
            self.ready.remove(position)
        for each in self.dependencies[position]:
            successors = self._successors[each]
            if successors is not None and position in successors:
                successors.remove(position)
        self.dependencies[position] = predecessors
        self._missing[position] = 0
        self._link([position])

    def count(self, *states: TaskState) -> int:
        """Return how many tasks are in one of these states."""
        return sum(self._counts[state] for state in states)

    @property
    def finished(self) -> bool:
        """Whether every task is done."""
        return self.count(*DONE) == len(self.tasks)

    def positions(self, *states: TaskState) -> list[int]:
        """Return the tasks in one of these states."""
        return [position for position, state in enumerate(self.states) if state in states]

    def unmet(self, position: int) -> list[int]:
        """Return the tasks that a task still waits for."""
        return [each for each in self.dependencies[position] if self.states[each] not in DONE]

    def recoverable(self, position: int, limit: int) -> Subgraph | None:
        """Return the innermost subgraph around a failed task that can be recovered and has recoveries left."""
        name = self.tasks[position].subgraph
        while name is not None and name in self.subgraphs:
            subgraph = self.subgraphs[name]
            left = subgraph.recovery == LEAVE or self.recoveries.get(name, 0) < limit
            if subgraph.recovery is not None and left:
                return subgraph
            name = subgraph.parent
        return None

    def members(self, subgraph_id: str) -> list[int]:
        """Return the tasks of a subgraph and of those inside it."""
        inside = {subgraph_id}
        for each in self.subgraphs.values():
            chain = [each.id]
            while chain[-1] not in inside and (parent := self._parent(chain[-1])) is not None:
                chain.append(parent)
            if chain[-1] in inside:
                inside.update(chain)
        return [position for position, task in enumerate(self.tasks) if task.subgraph in inside]

    def replace(self, failed: Subgraph, graph: TaskGraph) -> tuple[range, list[int]]:
        """Put a recovery in a failed subgraph's place; returns the new tasks, and those whose dependencies changed.

        What had to be done before the failed subgraph is done (a task of it ran), so the recovery starts at once.
        """
        old = set(self.members(failed.id))
        new = self.extend(graph)
        for name, subgraph in graph.subgraphs.items():
            if subgraph.recovery is not None:
                self.recoveries[name] = self.recoveries.get(failed.id, 0) + 1
        waited_for = {each for position in new for each in self.dependencies[position]}
        last = tuple(position for position in new if position not in waited_for)
        changed = []
        for position, waits in enumerate(self.dependencies[: new.start]):
            if position in old or self.states[position] is not TaskState.PENDING:
                continue
            unmet = [each for each in waits if each in old and self.states[each] not in DONE]
            if unmet:
                self.wait_for(position, tuple(each for each in waits if each not in unmet) + last)
                changed.append(position)
        for position in old:
            if self.states[position] not in DONE:
                self.move(position, TaskState.SUPERSEDED)
        return new, changed

    def dependents(self, positions: Iterable[int]) -> set[int]:
        """Return the tasks that wait, directly or not, for one of these."""
        found: set[int] = set()
        left = list(positions)
        while left:
            for successor in self._successors[left.pop()] or ():
                if successor not in found:
                    found.add(successor)
                    left.append(successor)
        return found

    @property
    def function_lives(self) -> bool:
        """Whether a plugin's workflow function runs, or will: then what its tasks end with is for it to judge."""
        return bool(self.tasks) and is_function(self.tasks[0]) and self.states[0] not in RESTING

    def stored_subgraphs(self) -> dict[str, dict[str, object]]:
        """Return what `restored` needs of the subgraphs."""
        return {
            each.id: {
                "parent": each.parent,
                "instance": each.instance,
                "recovery": each.recovery,
                "recoveries": self.recoveries.get(each.id, 0),
            }
            for each in self.subgraphs.values()
        }

    def _append(self, task: Task, dependencies: tuple[int, ...], state: TaskState) -> None:
        self.tasks.append(task)
        self.dependencies.append(dependencies)
        self.states.append(state)
        self.attempts.append(0)
        self.retries.append(0)
        self._successors.append(None)
        self._missing.append(0)
        self._counts[state] += 1

    def _link(self, positions: Iterable[int]) -> None:
        for position in positions:
            missing = 0
            for each in self.dependencies[position]:
                successors = self._successors[each]
                if successors is None:
                    self._successors[each] = [position]
                else:
                    successors.append(position)
                missing += self.states[each] not in DONE
            self._missing[position] = missing
            if missing == 0 and self.states[position] is TaskState.PENDING:
                self.ready.append(position)

    def _parent(self, subgraph_id: str) -> str | None:
        subgraph = self.subgraphs.get(subgraph_id)
        return None if subgraph is None else subgraph.parent


def is_operation(task: Task) -> bool:
    """Return whether a task runs on an agent."""
    return task.kind is TaskKind.OPERATION
