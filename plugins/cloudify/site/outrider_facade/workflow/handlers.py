"""The handlers and local functions of one submitted graph: called when their turn has come, their verdicts told.

The dispatcher keeps the graph; it learns from here what became of a local task, and whether a task or a subgraph that
failed, or that its handler is not content with, is ignored or tried again. How often and when that may be is the
dispatcher's to say. Used by `following`.
"""

from outrider.plugins.sdk.errors import NonRecoverableError
from outrider_facade.workflow.graph import FAILED, PENDING, SUCCEEDED, SubgraphTask

_IGNORED = ("handler_ignore", "handler_continue")


class Handlers:
    """What the tasks of one graph have to be asked."""

    def __init__(self, talk, name, tasks):
        self._talk = talk
        self._name = name
        self.by_id = {f"{name}/{each.id}": each for each in tasks}
        #: Subgraphs to be tried again as soon as nothing of them runs: (what failed, subgraph, result, new one).
        self._waiting = []
        #: Subgraphs that were ignored or tried again: whatever else of them failed is settled, too.
        self._settled = set()

    @property
    def waiting(self):
        """Whether a subgraph waits for its tasks before it is tried again."""
        return bool(self._waiting)

    def find(self, id_):
        """Return the task of a stored id, None if the function did not build it.

        Copies of a subgraph that was tried again before the function was called again are made anew.
        """
        known = self.by_id.get(id_)
        head, mark, tail = id_.rpartition("~")
        if known is not None or not mark:
            return known
        number = tail.partition(":")[0]
        subgraph = self.find(head)
        if isinstance(subgraph, SubgraphTask) and number.isdigit():
            while subgraph.number < int(number):
                subgraph = self._adopted(subgraph.again())
        return self.by_id.get(id_)

    def do_locally(self, id_):
        """Run a local task, or the handler of a task that succeeded, and say how it ended."""
        owner = self.find(id_)
        task = owner or self.find(id_.rpartition(".")[0])
        if task is None:
            # The function did not build this task again: there is nothing that could be called.
            self._answer(id_, "fail", error="the workflow does not know this task any more")
            return
        try:
            if owner is not None:
                task.value = task.function()
            elif task.get_state() != FAILED and self._repeats(id_, task):
                return
        except Exception as raised:  # noqa: BLE001 - a function of the plugin: whatever it raises fails its task
            task.error = f"{type(raised).__name__}: {raised}"
            again = owner is not None and task.on_failure is None and not isinstance(raised, NonRecoverableError)
            after = getattr(raised, "retry_after", None)
            self._answer(id_, "fail", error=task.error, recoverable=again, after_seconds=after)
            return
        self._answer(id_, "done")

    def fails(self, id_):
        """Ask the handlers about a failed task; return whether the workflow fails with it."""
        task = subject = self.find(id_)
        if task is not None and not self._settled.isdisjoint(_around(task)):
            return False
        if task is not None:
            task.set_state(FAILED)
        while subject is not None:
            if isinstance(subject, SubgraphTask):
                subject.failed_task = task
            if subject.on_failure is not None and self._follow(id_, subject, subject.on_failure(subject)):
                if isinstance(subject, SubgraphTask):
                    self._settled.add(subject)
                return False
            subject = subject.containing_subgraph
        return True

    def go_on(self):
        """Try those subgraphs again of which nothing runs any more; return the ids of failures that are final."""
        waiting, self._waiting = self._waiting, []
        return [each[0] for each in waiting if not self._try_again(*each)]

    def _follow(self, id_, subject, result):
        """Do what a handler says about a failure; return whether that settles it."""
        action = getattr(result, "action", "handler_fail")
        if action in _IGNORED:
            self._answer(f"{self._name}/{subject.id}", "ignore")
            return True
        if action != "handler_retry":
            return False
        if not isinstance(subject, SubgraphTask):
            return self._retry(subject, self._answer(id_, "retry", **_terms(result)), result)
        return self._try_again(id_, subject, result, _next_of(subject, result))

    def _try_again(self, id_, subgraph, result, new):
        reply = self._replace(subgraph, result, new)
        if reply.get("busy"):
            self._waiting.append((id_, subgraph, result, new))
            return True
        return reply["retried"]

    def _repeats(self, id_, task):
        """Call the handler of what succeeded; return whether that is tried again. Raises if it says that it failed."""
        task.set_state(SUCCEEDED)
        of = f"{self._name}/{task.id}"
        if not isinstance(task, SubgraphTask):
            found = self._talk.ask("results", tasks=[of])["results"][of]["value"]
            task.value = found if task.function is None else task.value
        result = task.on_success(task)
        action = getattr(result, "action", None)
        if action == "handler_fail":
            raise NonRecoverableError(f"the handler of {task.name} says that it failed")
        if action != "handler_retry":
            return False
        if isinstance(task, SubgraphTask):
            reply = self._replace(task, result, _next_of(task, result))
        else:
            reply = self._answer(id_, "retry", of=of, **_terms(result))
        if not self._retry(task, reply, result):
            raise NonRecoverableError(f"the handler of {task.name} asks for a retry: {reply['reason']}")
        return True

    def _retry(self, task, reply, result):
        """Note that a task is tried again, if it is; return whether it is."""
        if reply["retried"] and not isinstance(task, SubgraphTask):
            task.current_retries += not result.ignore_total_retries
            task.set_state(PENDING)
        return reply["retried"]

    def _replace(self, subgraph, result, new):
        """Have another subgraph take a subgraph's place."""
        outer = subgraph.containing_subgraph
        sent = subgraph.graph.submission(new)
        sent["subgraphs"][new.id] = None if outer is None else outer.id
        reply = self._talk.ask(
            "replace",
            graph=self._name,
            old=f"{self._name}/{subgraph.id}",
            new=new.id,
            retries=subgraph.current_retries,
            limit=subgraph.total_retries,
            **_terms(result),
            **sent,
        )
        if reply.get("retried"):
            self._adopted(new)
        return reply

    def _adopted(self, subgraph):
        for each in subgraph.everything():
            self.by_id[f"{self._name}/{each.id}"] = each
        return subgraph

    def _answer(self, id_, verdict, **details):
        return self._talk.ask("answer", task=id_, verdict=verdict, **{"error": None, **details})


def _next_of(subgraph, result):
    """Return what takes a subgraph's place: the subgraph that the handler made, or a copy."""
    new = result.retried_task
    if new is None:
        new = subgraph.again()
        new.current_retries += not result.ignore_total_retries
    elif not isinstance(new, SubgraphTask) or new.graph is not subgraph.graph:
        raise NonRecoverableError(
            f"the handler of subgraph {subgraph.name!r} set retried_task to {new!r}, no subgraph of the same graph"
        )
    return new


def _around(task):
    """Return a task's subgraph, the one around that, and so on; a subgraph itself is among them."""
    found = [task] if isinstance(task, SubgraphTask) else []
    while task.containing_subgraph is not None:
        task = task.containing_subgraph
        found.append(task)
    return found


def _terms(result):
    """Return what a result says about when and whether to try again."""
    return {"unlimited": bool(result.ignore_total_retries), "after_seconds": result.retry_after}
