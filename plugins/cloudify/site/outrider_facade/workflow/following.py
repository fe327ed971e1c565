"""Submits graphs, waits for them, and calls the handlers and local functions of their tasks on the way."""

import time

from outrider.plugins.sdk.errors import NonRecoverableError
from outrider_facade.workflow.graph import FAILED, PENDING, SUCCEEDED, SubgraphTask, TaskDependencyGraph

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
        by_id = {f"{name}/{each.id}": each for each in tasks}
        known, failures, failed_at = set(), [], None
        while True:
            found = self._talk.ask("wait", graph=name, known=sorted(known), wait_seconds=_WAIT_SECONDS)
            if found["cancelled"]:
                raise _cancelled()
            for each in [*found["failed"], *found["local"]]:
                if each in known:
                    continue
                known.add(each)
                if each in found["local"]:
                    self._do_locally(name, by_id, each)
                elif self._fails(name, by_id, each, known):
                    failures.append(each)
                    failed_at = failed_at or time.monotonic()
            waited_enough = failed_at is not None and time.monotonic() - failed_at > self._ctx.wait_after_fail
            if not found["open"] and not (set(found["failed"]) - set(failures)):
                break
            if waited_enough:
                break
        self._ctx.stale = True
        self._note(name, by_id, failures)

    def _note(self, name, by_id, failures):
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
            text = error.get("message") or self._local_error(by_id.get(failures[0])) or "see its events"
            raise RuntimeError(f"Workflow failed: Task failed '{failures[0]}' -> {text}")

    def _local_error(self, task):
        return None if task is None else task.error

    def _do_locally(self, name, by_id, id_):
        """Run a local task, or the handler of a task that succeeded, and say how it ended."""
        task = by_id.get(id_)
        if task is None:
            task = by_id.get(id_.rpartition(".")[0])
        if task is None:
            # The function did not build this task again: there is nothing that could be called.
            self._talk.ask("answer", task=id_, verdict="fail", error="the workflow does not know this task any more")
            return
        verdict, error = "done", None
        try:
            if task.function is not None and id_ == f"{name}/{task.id}":
                task.value = task.function()
            elif task.get_state() != FAILED:
                task.set_state(SUCCEEDED)
                self._after_success(name, task)
        except Exception as raised:  # noqa: BLE001 - a function of the plugin: whatever it raises fails its task
            verdict, error = "fail", f"{type(raised).__name__}: {raised}"
            task.error = error
        self._talk.ask("answer", task=id_, verdict=verdict, error=error)

    def _after_success(self, name, task):
        if not isinstance(task, SubgraphTask):
            id_ = f"{name}/{task.id}"
            task.value = self._talk.ask("results", tasks=[id_])["results"][id_]["value"]
        result = task.on_success(task)
        action = getattr(result, "action", None)
        if action == "handler_fail":
            raise RuntimeError(f"the handler of {task.name} says that it failed")
        if action == "handler_retry":
            raise NonRecoverableError(
                f"the handler on_success of {task.name} asks for a retry, which Outrider's cloudify interface does not "
                "provide; let the operation itself ask (ctx.operation.retry)"
            )

    def _fails(self, name, by_id, id_, known):
        """Ask the handlers about a failed task; return whether the workflow fails with it."""
        task = by_id.get(id_)
        subject = task
        while subject is not None:
            if isinstance(subject, SubgraphTask):
                subject.failed_task = task
            if subject is task:
                task.set_state(FAILED)
            if subject.on_failure is not None:
                action = getattr(subject.on_failure(subject), "action", "handler_fail")
                if action in ("handler_ignore", "handler_continue"):
                    self._talk.ask("answer", task=f"{name}/{subject.id}", verdict="ignore")
                    return False
                if action == "handler_retry" and subject is task:
                    task.current_retries += 1
                    task.set_state(PENDING)
                    known.discard(id_)
                    self._talk.ask("answer", task=id_, verdict="retry")
                    return False
                if action == "handler_retry":
                    raise NonRecoverableError(
                        f"the handler of subgraph {subject.name!r} asks for a retry, which Outrider's cloudify "
                        "interface does not provide; cloudify.plugins.lifecycle's functions recover their subgraphs"
                    )
            subject = subject.containing_subgraph
        return True


def _cancelled():
    from cloudify.workflows.api import ExecutionCancelled

    return ExecutionCancelled("the execution was cancelled")
