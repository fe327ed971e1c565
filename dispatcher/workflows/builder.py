"""Puts task graphs together; planners use it, nobody else does.

A `Chain` is a sequence of steps inside one subgraph; a step is one task or several that run side by side. Two chains
are ordered by their ends, so the number of dependencies grows with the number of relationships, not of tasks.
"""

from __future__ import annotations

from collections.abc import Iterable

from outrider.dispatcher.workflows.graph import Subgraph, Task, TaskGraph, TaskKind

#: A set of predecessors larger than this, which several tasks share, is gathered in one JOIN: a thousand instances
#: connected to a thousand others then take two thousand dependencies instead of a million.
_SHARED_SET = 8


class GraphBuilder:
    """Collects tasks, dependencies and subgraphs."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._dependencies: dict[str, tuple[str, ...]] = {}
        self._subgraphs: dict[str, Subgraph] = {}
        self._joins: dict[tuple[str, ...], str] = {}

    def add(self, task: Task, *, after: tuple[str, ...] = ()) -> str:
        """Add a task that waits for `after`; returns its id."""
        if task.id in self._tasks:
            raise ValueError(f"two tasks of one graph are named {task.id!r}")
        self._tasks[task.id] = task
        if after:
            self._dependencies[task.id] = after
        return task.id

    def add_subgraph(self, subgraph: Subgraph) -> None:
        """Declare a subgraph; tasks name it in `Task.subgraph`."""
        self._subgraphs[subgraph.id] = subgraph

    def wait(self, task_ids: Iterable[str], predecessors: Iterable[str]) -> None:
        """Make tasks that were added before wait for further ones."""
        found = tuple(dict.fromkeys(predecessors))
        if len(found) > _SHARED_SET:
            found = (self._join(found),)
        for task_id in task_ids:
            known = self._dependencies.get(task_id, ())
            new = tuple(each for each in found if each not in known) if known else found
            if new:
                self._dependencies[task_id] = known + new

    def _join(self, predecessors: tuple[str, ...]) -> str:
        key = tuple(sorted(predecessors))
        join = self._joins.get(key)
        if join is None:
            join = self._joins[key] = f"join_{len(self._joins) + 1}"
            self.add(Task(id=join, kind=TaskKind.JOIN), after=key)
        return join

    def build(self) -> TaskGraph:
        """Return the graph; the builder must not be used afterwards."""
        return TaskGraph(tasks=self._tasks, dependencies=self._dependencies, subgraphs=self._subgraphs)


class Chain:
    """Steps of one subgraph, each of which waits for the one before."""

    def __init__(self, builder: GraphBuilder, name: str) -> None:
        self.name = name
        self._builder = builder
        self.first: tuple[str, ...] = ()
        self.last: tuple[str, ...] = ()
        #: What ran after each step, to find "the tasks that follow an operation": step's first task id → next step.
        self._following: dict[str, tuple[str, ...]] = {}
        self._gates = 0

    def step(self, tasks: Iterable[Task]) -> None:
        """Append tasks that run side by side, after everything before them."""
        found = list(tasks)
        if not found:
            return
        if len(found) > 1 and len(self.last) > 1:
            self._gates += 1
            gate = Task(id=f"{self.name}.gate_{self._gates}", kind=TaskKind.JOIN, subgraph=found[0].subgraph)
            self._append((self._builder.add(gate, after=self.last),))
        self._append(tuple(self._builder.add(task, after=self.last) for task in found))

    def _append(self, step: tuple[str, ...]) -> None:
        self.first = self.first or step
        self._following.update(dict.fromkeys(self.last, step))
        self.last = step

    def following(self, task_id: str) -> tuple[str, ...]:
        """Return the step after a task of this chain: (task itself when it is the last), () when it is not here."""
        if task_id in self.last:
            return (task_id,)
        return self._following.get(task_id, ())
