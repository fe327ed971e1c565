"""Task graphs."""

from functools import wraps

from outrider_facade import missing_from
from outrider_facade.workflows import not_provided

__getattr__ = missing_from(__name__)

TaskDependencyGraph = not_provided(__name__, "TaskDependencyGraph")


class forkjoin:
    """Tasks of a sequence that run side by side."""

    def __init__(self, *tasks):
        self.tasks = tasks


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
