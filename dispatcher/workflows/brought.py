"""Workflows that plugins bring: one operation, the plugin's function, which submits graphs while it runs.

`catalog` plans them here; the engine recognises the function's task by `is_function`, and adds what the function
submits to the same graph, behind it (see `dispatcher.submissions`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outrider.dispatcher.workflows.graph import Stage, StagePlan, Task, TaskGraph, TaskKind, Workflow
from outrider.dispatcher.workflows.parameters import fill_parameters
from outrider.dispatcher.workflows.recovery import prepare_resume, recover
from outrider.dispatcher.workflows.view import DeploymentView

Json = Mapping[str, Any]

#: Id and operation of the task that runs the function; operations of interfaces have a dot in their names.
FUNCTION = "workflow"

#: The plugin that the built-in types map their workflows to; it has no code.
_BUILT_IN_PLUGIN = "default_workflows"


def brought_workflow(name: str, view: DeploymentView) -> Json | None:
    """Return the plan's record of a workflow that a plugin of the blueprint brings; None if it is not one."""
    record: Json | None = (view.plan.get("workflows") or {}).get(name)
    if record is None or not record.get("operation") or record.get("plugin") == _BUILT_IN_PLUGIN:
        return None
    return record


def plan_brought(name: str, record: Json, parameters: Json, *, allow_custom: bool = False) -> Workflow:
    """Return the workflow whose only planned task is the plugin's function; raises `ParameterError`."""
    filled = fill_parameters(name, record.get("parameters") or {}, parameters, allow_custom=allow_custom)
    graph = function_graph(filled)
    stage = Stage(name=name, plan=lambda _view: StagePlan(graph=graph))
    return Workflow(name=name, stages=(stage,), function=name, recover=recover, prepare_resume=prepare_resume)


def function_graph(parameters: Json) -> TaskGraph:
    """Return the graph of a stage that runs the workflow's `function`; its task has to come first."""
    task = Task(id=FUNCTION, kind=TaskKind.OPERATION, operation=FUNCTION, kwargs=parameters)
    return TaskGraph(tasks={task.id: task}, dependencies={})


def is_function(task: Task) -> bool:
    """Return whether a task runs a plugin's workflow function."""
    return task.kind is TaskKind.OPERATION and task.instance is None and task.operation == FUNCTION
