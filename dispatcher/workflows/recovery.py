"""What runs when a chain broke in the middle: the recovery of a failed subgraph, and the steps before a resumed task.

The engine calls both through `Workflow`: it decides *when* (retries left, resumed execution), this module says *what*.
"""

from __future__ import annotations

from outrider.dispatcher.workflows.builder import Chain, GraphBuilder
from outrider.dispatcher.workflows.errors import PlanError
from outrider.dispatcher.workflows.graph import LEAVE, Subgraph, Task, TaskGraph
from outrider.dispatcher.workflows.lifecycle import (
    DELETE,
    POSTDELETE,
    PRESTOP,
    REINSTALL,
    STOP,
    UNINSTALL,
    add_reinstall,
    add_uninstall,
)
from outrider.dispatcher.workflows.steps import InstanceChain, Options, Step
from outrider.dispatcher.workflows.topology import LIFECYCLE
from outrider.dispatcher.workflows.view import DeploymentView, InstanceView

#: (operation, state) of an interrupted task → what undoes the half of it that may have happened.
_UNDO: dict[tuple[str, str], tuple[Step, ...]] = {
    (f"{LIFECYCLE}.create", "creating"): (DELETE, POSTDELETE),
    (f"{LIFECYCLE}.start", "starting"): (PRESTOP, STOP),
}


def recover(name: str, failed: Subgraph, view: DeploymentView) -> TaskGraph:
    """Return the graph that replaces a failed subgraph: uninstall and install again, or uninstall once more.

    Its subgraphs are named after the failed one, so that a recovery can itself be recovered under a new name. Whoever
    waited for a task of the failed subgraph waits for all last tasks of the replacement.
    """
    if name == LEAVE:
        return TaskGraph(tasks={}, dependencies={})
    instance = _instance(view, failed)
    builder = GraphBuilder()
    if name == REINSTALL:
        # One subgraph that fails as one: its two halves have no recovery of their own.
        outer = f"reinstall_{failed.id}"
        builder.add_subgraph(Subgraph(id=outer, parent=failed.parent, instance=instance.id, recovery=REINSTALL))
        add_reinstall(builder, view, instance, outer=outer)
    elif name == UNINSTALL:
        add_uninstall(builder, view, instance, parent=failed.parent, prefix=f"again_{failed.id}.")
    else:
        raise PlanError(f"subgraph {failed.id!r} asks for the unknown recovery {name!r}")
    return builder.build()


def prepare_resume(task: Task, view: DeploymentView) -> TaskGraph | None:
    """Return what has to run before an interrupted task is sent again, or None.

    A `create` or `start` that was interrupted half-way may have left something behind that a second try would trip
    over, so the opposite operations run first; their failures are ignored.
    """
    instance = view.instances.get(task.instance or "")
    if instance is None or task.side is not None or task.operation is None:
        return None
    undo = _UNDO.get((task.operation, instance.state))
    if undo is None:
        return None
    builder = GraphBuilder()
    name = f"resume_{task.id}"
    builder.add_subgraph(Subgraph(id=name, parent=task.subgraph, instance=instance.id))
    chain = InstanceChain(Chain(builder, name), view, instance, Options(ignore_failure=True))
    for step in undo:
        if chain.applies(step):
            # Only the operation: the instance stays in the state in which the task found it.
            chain.append_operation(step)
    return builder.build() if chain.chain.first else None


def _instance(view: DeploymentView, failed: Subgraph) -> InstanceView:
    instance = view.instances.get(failed.instance or "")
    if instance is None:
        raise PlanError(f"subgraph {failed.id!r} cannot be recovered: its instance {failed.instance!r} is gone")
    return instance
