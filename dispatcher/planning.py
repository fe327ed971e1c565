"""Which workflow an execution means: a built-in one, or one operation that is sent to an agent directly."""

from __future__ import annotations

from outrider.dispatcher.store.executions import Execution
from outrider.dispatcher.wishes import DIRECT
from outrider.dispatcher.workflows import get_workflow
from outrider.dispatcher.workflows.graph import Stage, StagePlan, Task, TaskGraph, TaskKind, Workflow
from outrider.dispatcher.workflows.view import DeploymentView


def plan_execution(execution: Execution, view: DeploymentView) -> Workflow:
    """Return the workflow of an execution; raises `WorkflowError`."""
    if "direct" in execution.details:
        return direct_workflow(str(execution.details["direct"]["operation"]))
    allow_custom = bool(execution.details.get("allow_custom_parameters"))
    return get_workflow(execution.workflow, execution.parameters, view, allow_custom=allow_custom)


def direct_workflow(operation: str) -> Workflow:
    """Return a workflow of one operation; where it goes is in the execution's details."""
    task = Task(id=operation, kind=TaskKind.OPERATION, operation=operation, max_retries=0)
    graph = TaskGraph(tasks={task.id: task}, dependencies={})
    return Workflow(name=DIRECT, stages=(Stage(name=DIRECT, plan=lambda _view: StagePlan(graph=graph)),))
