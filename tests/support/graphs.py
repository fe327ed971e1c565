"""Looks at task graphs: the order in which they would run, and who comes before whom."""

from __future__ import annotations

from graphlib import TopologicalSorter

from outrider.dispatcher.workflows.graph import TaskGraph, TaskKind


def run_order(graph: TaskGraph) -> list[str]:
    """Return the task ids in an order that the graph allows; raises graphlib.CycleError if there is none."""
    return list(TopologicalSorter({each: graph.dependencies.get(each, ()) for each in graph.tasks}).static_order())


def steps(graph: TaskGraph) -> list[str]:
    """Return the run order without joins."""
    return [each for each in run_order(graph) if graph.tasks[each].kind is not TaskKind.JOIN]


def operations(graph: TaskGraph) -> list[str]:
    """Return the operations in run order, as ``instance:short name``."""
    return [
        f"{graph.tasks[each].instance}:{graph.tasks[each].operation.rpartition('.')[2]}"
        for each in run_order(graph)
        if graph.tasks[each].kind is TaskKind.OPERATION
    ]


def ancestors(graph: TaskGraph, task_id: str) -> set[str]:
    """Return all tasks that must have succeeded before this one starts."""
    found: set[str] = set()
    waiting = [task_id]
    while waiting:
        for each in graph.dependencies.get(waiting.pop(), ()):
            if each not in found:
                found.add(each)
                waiting.append(each)
    return found
