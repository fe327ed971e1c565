"""Submits graphs and waits for them; what their tasks have to be asked on the way is in `handlers`."""

import time

from outrider.plugins.sdk.errors import NonRecoverableError
from outrider_facade.workflow.graph import FAILED, SUCCEEDED, SubgraphTask, TaskDependencyGraph
from outrider_facade.workflow.handlers import Handlers

_WAIT_SECONDS = 3.0


class Following:
    """The graphs that this workflow has submitted."""

    def __init__(self, ctx, talk):
        self._ctx = ctx
        self._talk = talk
        self._submitted = 0
        #: Graphs that run without anybody waiting for them yet: calls outside of graph mode.
        self._running = {}

    def execute(self, graph):
        """Submit a graph and wait for its end; then it is empty again."""
        tasks, name = list(graph.tasks), self._submit(graph)
        try:
            self._follow(name, tasks)
        finally:
            graph.tasks.clear()
            graph.dependencies.clear()
            graph.name = None

    def call(self, task):
        """Run one task at once, outside of graph mode; whoever needs its result waits for it."""
        graph = TaskDependencyGraph(self._ctx)
        graph.add_task(task)
        self._running[task] = self._submit(graph)
        return task.async_result

    def plan(self, planner, name, parameters):
        """Have one of the dispatcher's own planners make a graph, and wait for it."""
        name = self._next(name)
        self._talk.ask("submit", graph=name, planner=planner, parameters=parameters)
        self._follow(name, [])

    def result_of(self, task):
        """Wait for a call; return the task's value. Raises what a failed graph raises."""
        name = self._running.pop(task, None)
        if name is not None:
            self._follow(name, [task])
            return getattr(task, "value", None)
        if task.get_state() not in (SUCCEEDED, FAILED):
            raise NonRecoverableError(f"{task!r} has no result before its graph was executed")
        return getattr(task, "value", None)

    def finish(self):
        """Wait for all calls whose result nobody took."""
        for task in list(self._running):
            self.result_of(task)

    def _submit(self, graph):
        name = graph.name or self._next("graph")
        for task in graph.tasks:
            task.stored_name = name
        self._talk.ask("submit", graph=name, **graph.submission())
        return name

    def _next(self, kind):
        self._submitted += 1
        return f"{kind}-{self._submitted}"

    def _follow(self, name, tasks):
        handlers = Handlers(self._talk, name, tasks)
        failures, failed_at = [], None
        while True:
            found = self._talk.ask("wait", graph=name, known=sorted(failures), wait_seconds=_WAIT_SECONDS)
            if found["cancelled"]:
                raise _cancelled()
            for each in found["local"]:
                handlers.do_locally(each)
            failures.extend(handlers.go_on())
            # What was ignored is no longer among the failed; what is tried again may fail, and be asked about, again.
            new = [each for each in found["failed"] if each not in failures]
            failures.extend(each for each in new if handlers.fails(each))
            failed_at = failed_at or (time.monotonic() if failures else None)
            waited_enough = failed_at is not None and time.monotonic() - failed_at > self._ctx.wait_after_fail
            if waited_enough or not (found["open"] or handlers.waiting or set(found["failed"]) - set(failures)):
                break
        self._ctx.stale = True
        self._note(handlers.by_id, failures)

    def _note(self, by_id, failures):
        """Give the tasks their states and values; raise for the first failure."""
        asked = [id_ for id_, each in by_id.items() if not isinstance(each, SubgraphTask)]
        results = self._talk.ask("results", tasks=[*asked, *failures])["results"] if asked or failures else {}
        for id_, task in by_id.items():
            found = results.get(id_)
            if found is None:
                continue
            if task.function is None:
                # What a function of this process returned is known here only.
                task.value = found["value"]
            if found["state"] in (SUCCEEDED, FAILED):
                task.set_state(found["state"])
        if failures:
            error = results[failures[0]]["error"] or {}
            owner = by_id.get(failures[0]) or by_id.get(failures[0].rpartition(".")[0])
            text = error.get("message") or (owner.error if owner is not None else None) or "see its events"
            raise RuntimeError(f"Workflow failed: Task failed '{failures[0]}' -> {text}")


def _cancelled():
    from cloudify.workflows.api import ExecutionCancelled

    return ExecutionCancelled("the execution was cancelled")
