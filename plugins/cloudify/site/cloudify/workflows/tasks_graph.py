"""Task graphs."""

from functools import wraps

from outrider_facade import missing_from
from outrider_facade.workflow.graph import SubgraphTask, TaskDependencyGraph, TaskSequence, forkjoin

__getattr__ = missing_from(__name__)

__all__ = ["SubgraphTask", "TaskDependencyGraph", "TaskSequence", "forkjoin", "make_or_get_graph"]


def make_or_get_graph(function):
    """Decorate a function that makes a graph: a stored graph of the execution is used instead, if there is one."""

    @wraps(function)
    def graph(ctx, *args, **kwargs):
        name = kwargs.pop("name")
        stored = ctx.get_tasks_graph(name) if hasattr(ctx, "get_tasks_graph") else None
        if stored is not None:
            return stored
        made = function(ctx, *args, **kwargs)
        made.store(name=name)
        return made

    return graph
