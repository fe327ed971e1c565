"""The table of built-in workflows, and the one function that turns a name and parameters into a `Workflow`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from outrider.dispatcher.workflows.definition import FILTERS, Definition, Rules
from outrider.dispatcher.workflows.errors import UnknownWorkflowError
from outrider.dispatcher.workflows.execute_operation import (
    plan_execute_operation,
    plan_pull,
    plan_restart,
    plan_start,
    plan_stop,
)
from outrider.dispatcher.workflows.graph import Workflow
from outrider.dispatcher.workflows.install import plan_install
from outrider.dispatcher.workflows.parameters import fill_parameters
from outrider.dispatcher.workflows.uninstall import plan_uninstall
from outrider.dispatcher.workflows.view import DeploymentView

Json = Mapping[str, Any]


def _parameter(type_name: str, description: str, *, default: object) -> Json:
    return {"type": type_name, "default": default, "description": description}


_IGNORE_FAILURE = _parameter(
    "boolean", "Record failures of operations and go on as if they had succeeded", default=False
)
_ORDERED = _parameter(
    "boolean", "Follow the dependencies between instances instead of running all at once", default=True
)
_KWARGS = _parameter("dict", "Inputs for the operation; they win over the blueprint's", default={})

_INSTALLING = Rules(node_instances_active=("none", "partial"))
_INSTALLED = Rules(node_instances_active=("all", "partial"))

_DEFINITIONS = (
    Definition(
        name="install",
        description="Create and start instances, each after those that it depends on",
        plan=plan_install,
        parameters=FILTERS,
        rules=_INSTALLING,
    ),
    Definition(
        name="uninstall",
        description="Stop and delete instances, each before those that it depends on",
        plan=plan_uninstall,
        parameters={
            "ignore_failure": _IGNORE_FAILURE,
            "recursive": _parameter("boolean", "Uninstall the deployments inside this one first", default=False),
            **FILTERS,
        },
        rules=_INSTALLED,
    ),
    Definition(
        name="start",
        description="Run the operation start",
        plan=plan_start,
        parameters={"operation_parms": _KWARGS, "run_by_dependency_order": _ORDERED, **FILTERS},
        rules=_INSTALLING,
    ),
    Definition(
        name="stop",
        description="Run the operation stop, dependents first",
        plan=plan_stop,
        parameters={"operation_parms": _KWARGS, "run_by_dependency_order": _ORDERED, **FILTERS},
        rules=_INSTALLED,
    ),
    Definition(
        name="restart",
        description="Run the operation stop, then the operation start",
        plan=plan_restart,
        parameters={
            "stop_parms": _KWARGS,
            "start_parms": _KWARGS,
            "run_by_dependency_order": _ORDERED,
            **FILTERS,
        },
        rules=_INSTALLED,
    ),
    Definition(
        name="execute_operation",
        description="Run any operation on the instances that implement it",
        plan=plan_execute_operation,
        parameters={
            "operation": {"type": "string", "description": "Full name, such as cloudify.interfaces.lifecycle.start"},
            "operation_kwargs": _parameter("dict", "Further inputs for the operation", default={}),
            "allow_kwargs_override": _parameter(
                "boolean",
                "Whether operation_kwargs may replace inputs of the blueprint; null: as it says",
                default=None,
            ),
            "run_by_dependency_order": {**_ORDERED, "default": False},
            **FILTERS,
        },
    ),
    Definition(
        name="pull",
        description="Read the real state of resources into runtime properties",
        plan=plan_pull,
        parameters={"operation_parms": _KWARGS, "run_by_dependency_order": _ORDERED, **FILTERS},
        rules=_INSTALLED,
    ),
)

#: Name → definition of each built-in workflow.
BUILT_IN: Mapping[str, Definition] = MappingProxyType({each.name: each for each in _DEFINITIONS})


def get_workflow(name: str, parameters: Json, view: DeploymentView, *, allow_custom: bool = False) -> Workflow:
    """Return a built-in workflow with its parameters checked and filled in.

    With `allow_custom`, parameters that the workflow does not know are accepted (and not used).
    Raises UnknownWorkflowError, ParameterError (all problems at once), or PlanError where already the parameters do
    not fit the deployment; the stages' own plans may raise PlanError, too.
    """
    definition = BUILT_IN.get(name)
    if definition is None:
        raise UnknownWorkflowError(name, BUILT_IN)
    return definition.plan(fill_parameters(name, definition.parameters, parameters, allow_custom=allow_custom), view)
