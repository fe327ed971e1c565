"""What the handlers of a workflow function decide about its tasks and subgraphs: done, failed, ignored, tried again.

The function's process calls the handlers; here their verdicts become states of the graph. Called by
`function_requests`, in the engine's transaction. A question that is asked again, because nobody heard the answer, finds
what it wanted done already.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outrider.dispatcher.graph_run import GraphRun, is_operation
from outrider.dispatcher.progress import Progress
from outrider.dispatcher.run import Run
from outrider.dispatcher.store.tasks import DONE, TaskState
from outrider.dispatcher.submissions import SubmissionRefused, submitted_graph
from outrider.dispatcher.turn import Turn
from outrider.dispatcher.workflows.graph import Subgraph, TaskKind

Json = Mapping[str, Any]

_RETRIED: Json = {"retried": True}


class Handling:
    """Acts on the verdicts of handlers."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def answer(self, turn: Turn, run: Run, payload: Json) -> Json:
        """Do what the function decided about one of its tasks, or about a subgraph.

        ``verdict`` is ``done`` or ``fail`` for what the function itself did (with ``recoverable``: to be tried again),
        ``ignore`` or ``retry`` for what failed; with ``of``, ``retry`` is about a task that succeeded, and was said by
        the handler `task` that comes after it. A retry is answered with ``retried``, and the reason if it was not.
        """
        graph, verdict, name = run.current, payload["verdict"], str(payload["task"])
        if name in graph.subgraphs:
            _skip_rest(turn, run, name)
            return {}
        position = position_of(graph, name)
        if payload.get("of") is not None:
            return self._repeat(turn, run, position_of(graph, str(payload["of"])), handler=position, payload=payload)
        state, error = graph.states[position], payload.get("error")
        local = graph.tasks[position].kind is TaskKind.LOCAL
        if verdict == "retry":
            return self._retry(turn, run, position, payload) if state is TaskState.FAILED else _RETRIED
        if local and state is TaskState.SENDING:
            if payload.get("recoverable") and self._retry(turn, run, position, payload)["retried"]:
                return {}
            graph.move(position, TaskState.SUCCEEDED if verdict == "done" else TaskState.FAILED)
        elif state is TaskState.FAILED and verdict == "ignore":
            graph.move(position, TaskState.SKIPPED)
        else:
            return {}
        turn.save_task(run, position, error=None if error is None else str(error))
        return {}

    def replace(self, turn: Turn, run: Run, payload: Json) -> Json:
        """Put another subgraph in the place of one that failed, or whose handler is not content with it.

        Answers ``busy`` while tasks of it run: then nothing else of it begins, and the question is to be asked again.
        """
        graph, name = run.current, str(payload["graph"])
        old, new = graph.subgraphs.get(str(payload["old"])), f"{name}/{payload['new']}"
        if old is None:
            raise SubmissionRefused(f"there is no subgraph {payload['old']!r}")
        members = graph.members(old.id)
        if new in graph.subgraphs:
            if any(graph.states[each] not in DONE for each in members):
                raise SubmissionRefused(f"graph {name!r} has a subgraph {payload['new']!r} already")
            return _RETRIED
        limit = payload.get("limit")
        limit = int(run.model.config.get("subgraph_retries", 0) if run.model and limit is None else limit or 0)
        retries = int(payload.get("retries") or 0)
        if not payload.get("unlimited") and 0 <= limit <= retries:
            return {"retried": False, "reason": f"subgraph {old.id!r} was tried {retries} times again, the limit"}
        if any(graph.states[each] is TaskState.SENDING and is_operation(graph.tasks[each]) for each in members):
            run.held.update(members)
            return {"busy": True}
        self._put(turn, run, old, payload)
        return _RETRIED

    def _put(self, turn: Turn, run: Run, old: Subgraph, payload: Json) -> None:
        if run.model is None:
            raise SubmissionRefused("the execution has no deployment")
        graph, name = run.current, str(payload["graph"])
        added = self._progress.subgraphs.replace(turn, run, old, submitted_graph(name, payload, run.model.view()))
        delay = float(payload.get("after_seconds") or 0.0)
        if delay > 0:
            for position in [each for each in added if not graph.dependencies[each]]:
                words = f"subgraph {old.id!r} is tried again"
                self._progress.reschedule(turn, run, position, delay, words, counted=False)

    def _retry(self, turn: Turn, run: Run, position: int, payload: Json) -> Json:
        """Have a task done again, if it may be."""
        graph, policy = run.current, self._progress.policy(run, position)
        unlimited, after = bool(payload.get("unlimited")), payload.get("after_seconds")
        if not unlimited and not policy.allows(graph.retries[position]):
            task = graph.tasks[position].id
            return {
                "retried": False,
                "reason": f"task {task!r} was tried {graph.retries[position]} times again, the limit",
            }
        delay = policy.retry_interval_seconds if after is None else max(float(after), 0.0)
        words = str(payload.get("error") or "a handler of the workflow asks for it")
        self._progress.reschedule(turn, run, position, delay, words, counted=not unlimited)
        return _RETRIED

    def _repeat(self, turn: Turn, run: Run, position: int, *, handler: int, payload: Json) -> Json:
        """Have a task done again that succeeded: what waits for its handler goes on waiting."""
        graph = run.current
        if graph.states[handler] is not TaskState.SENDING:
            return _RETRIED
        found = self._retry(turn, run, position, payload)
        if found["retried"]:
            run.finished_operations -= is_operation(graph.tasks[position])
            graph.move(handler, TaskState.PENDING)
            turn.save_task(run, handler)
        return found


def position_of(graph: GraphRun, name: str) -> int:
    """Return a task's place in the graph; raises `SubmissionRefused`."""
    position = next((each for each, task in enumerate(graph.tasks) if task.id == name), None)
    if position is None:
        raise SubmissionRefused(f"there is no task {name!r}")
    return position


def _skip_rest(turn: Turn, run: Run, name: str) -> None:
    """A failed subgraph is ignored: what has not begun of it is left out, what runs goes on."""
    graph = run.current
    for position in graph.members(name):
        # Joins are kept: what waits for the subgraph waits for what still runs of it.
        waits = graph.states[position] in DONE or graph.states[position] is TaskState.SENDING
        if not waits and graph.tasks[position].kind is not TaskKind.JOIN:
            graph.move(position, TaskState.SKIPPED)
            turn.save_task(run, position, error="the workflow ignores that its subgraph failed")
