"""The table of built-in workflows, and the one function that turns a name and parameters into a `Workflow`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from outrider.dispatcher.workflows.agents import plan_install_new_agents, plan_validate_agents
from outrider.dispatcher.workflows.brought import brought_workflow, plan_brought
from outrider.dispatcher.workflows.checks import plan_check_drift, plan_check_status
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
from outrider.dispatcher.workflows.heal import plan_heal
from outrider.dispatcher.workflows.install import plan_install
from outrider.dispatcher.workflows.parameters import fill_parameters
from outrider.dispatcher.workflows.reinstall import plan_reinstall
from outrider.dispatcher.workflows.rollback import plan_rollback
from outrider.dispatcher.workflows.scale import plan_scale
from outrider.dispatcher.workflows.topology import COMPUTE
from outrider.dispatcher.workflows.uninstall import plan_uninstall
from outrider.dispatcher.workflows.update import plan_update
from outrider.dispatcher.workflows.update_custom import TOLD, update_by_function, update_by_stages
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
_WITH_HOSTS = Rules(node_types_required=(COMPUTE,))

_AGENT_FILTERS: Json = {
    **FILTERS,
    "install_methods": {
        "type": "list",
        "item_type": "string",
        "default": [],
        "description": "Only hosts whose agent was installed in one of these ways",
    },
}
_INSTANCE_LIST: Json = {"type": "list", "item_type": "string", "default": []}

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
            "recursive": _parameter(
                "boolean", "First uninstall the deployments that name this one as their parent", default=False
            ),
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
        name="reinstall",
        description="Uninstall instances, then install them",
        plan=plan_reinstall,
        parameters={"ignore_failure": _IGNORE_FAILURE, **FILTERS},
        rules=_INSTALLED,
    ),
    Definition(
        name="heal",
        description="Heal what is ill, and reinstall what cannot be healed",
        plan=plan_heal,
        parameters={
            "node_instance_id": _parameter(
                "string", "Heal what is on this instance's host; null: the whole deployment", default=None
            ),
            "diagnose_value": _parameter("string", "Why, for the record", default="Not provided"),
            "ignore_failure": {**_IGNORE_FAILURE, "default": True},
            "check_status": _parameter("boolean", "Ask for the status first", default=True),
            "allow_reinstall": _parameter("boolean", "Reinstall what cannot be healed", default=True),
            "force_reinstall": _parameter("boolean", "Reinstall without asking for the status", default=False),
        },
        rules=_INSTALLED,
    ),
    Definition(
        name="scale",
        description="Add or remove instances of a node or a scaling group",
        plan=plan_scale,
        parameters={
            "scalable_entity_name": {"type": "string", "description": "A node or a scaling group"},
            "delta": _parameter("integer", "How many more, or fewer if negative", default=1),
            "scale_compute": _parameter("boolean", "Scale the host that the node is on", default=False),
            "include_instances": {**_INSTANCE_LIST, "description": "Instances that shall go first"},
            "exclude_instances": {**_INSTANCE_LIST, "description": "Instances that shall stay if possible"},
            "ignore_failure": _IGNORE_FAILURE,
            "rollback_if_failed": _parameter("boolean", "Undo a scale-out that fails", default=True),
            "abort_started": _parameter("boolean", "Undo an earlier scale-out that is not finished", default=False),
        },
        rules=_INSTALLED,
    ),
    Definition(
        name="update",
        description="Move the deployment to another blueprint or other inputs",
        plan=plan_update,
        parameters={
            "plan": {"type": "dict", "description": "The deployment plan to reach; filled in by whoever starts it"},
            "update_id": _parameter("string", "The record of this update", default=None),
            "blueprint_id": _parameter("string", "The blueprint that the plan was made from", default=None),
            "workflow_id": _parameter(
                "string", "A workflow of the new blueprint that runs in these steps' place", default=None
            ),
            "preview": _parameter("boolean", "Change nothing", default=False),
            "skip_install": _parameter("boolean", "Add new instances without installing them", default=False),
            "skip_uninstall": _parameter("boolean", "Remove instances without uninstalling them", default=False),
            "skip_reinstall": _parameter("boolean", "Reinstall nothing", default=False),
            "skip_drift_check": _parameter("boolean", "Go by the blueprint's changes only", default=False),
            "skip_heal": _parameter("boolean", "Ask no instance for its status, and heal none", default=False),
            "force_reinstall": _parameter("boolean", "Reinstall what changed instead of updating it", default=False),
            "reinstall_list": {**_INSTANCE_LIST, "description": "Instances to reinstall in any case"},
            "install_first": _parameter(
                "boolean", "Install what comes before anything is uninstalled that goes", default=False
            ),
            "ignore_failure": _IGNORE_FAILURE,
        },
    ),
    Definition(
        name="rollback",
        description="Undo what a failed install left half-way",
        plan=plan_rollback,
        parameters={
            **FILTERS,
            "full_rollback": _parameter("boolean", "Uninstall everything afterwards", default=False),
        },
        rules=_INSTALLED,
    ),
    Definition(
        name="check_status",
        description="Ask every instance whether it is well",
        plan=plan_check_status,
        parameters={"run_by_dependency_order": {**_ORDERED, "default": False}, **FILTERS},
        rules=_INSTALLED,
    ),
    Definition(
        name="check_drift",
        description="Ask every instance and relationship whether reality has drifted from the blueprint",
        plan=plan_check_drift,
        parameters={"run_by_dependency_order": _ORDERED, **FILTERS},
        rules=_INSTALLED,
    ),
    Definition(
        name="install_new_agents",
        description="Put new agents on started hosts",
        plan=plan_install_new_agents,
        parameters={
            "install_agent_timeout": _parameter("integer", "Seconds for one host", default=300),
            **_AGENT_FILTERS,
            "validate": _parameter("boolean", "Look at the present agents first", default=True),
            "install": _parameter("boolean", "Install the new agents", default=True),
            "install_script": _parameter("string", "Another script to install with", default=None),
            "manager_ip": _parameter("string", "Address that the new agents connect to", default=None),
            "manager_certificate": _parameter("string", "Certificate that the new agents trust", default=None),
            "stop_old_agent": _parameter("boolean", "Stop the present agent afterwards", default=False),
        },
        rules=_WITH_HOSTS,
    ),
    Definition(
        name="validate_agents",
        description="See whether the agents of the hosts answer",
        plan=plan_validate_agents,
        parameters=_AGENT_FILTERS,
        rules=_WITH_HOSTS,
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
    """Return a workflow, built in or brought by a plugin, with its parameters checked and filled in.

    With `allow_custom`, parameters that the workflow does not know are accepted (and not used).
    Raises UnknownWorkflowError, ParameterError (all problems at once), or PlanError where already the parameters do
    not fit the deployment; the stages' own plans may raise PlanError, too.
    """
    record = brought_workflow(name, view)
    if record is not None:
        return plan_brought(name, record, parameters, allow_custom=allow_custom)
    definition = BUILT_IN.get(name)
    if definition is None:
        raise UnknownWorkflowError(name, BUILT_IN)
    if name == "update" and parameters.get("workflow_id") not in (None, "", "update"):
        return _custom_update(parameters, view, allow_custom=allow_custom)
    return definition.plan(fill_parameters(name, definition.parameters, parameters, allow_custom=allow_custom), view)


def _custom_update(parameters: Json, view: DeploymentView, *, allow_custom: bool) -> Workflow:
    """Return the update whose operations the workflow `workflow_id` of the new plan decides on."""
    own = BUILT_IN["update"].parameters
    known = {key: value for key, value in parameters.items() if key in own}
    filled = fill_parameters("update", own, known)
    if filled["preview"]:
        return plan_update(filled, view)
    name, plan = str(filled["workflow_id"]), filled["plan"]
    future = replace(view, plan=plan, nodes={**view.nodes, **{node["id"]: node for node in plan["nodes"]}})
    asked = {key: value for key, value in parameters.items() if key not in own}
    record = brought_workflow(name, future)
    if record is not None:
        schema = {key: each for key, each in (record.get("parameters") or {}).items() if key not in own.keys() | TOLD}
        return update_by_function(name, filled, fill_parameters(name, schema, asked, allow_custom=allow_custom))
    definition = BUILT_IN.get(name)
    if definition is None:
        raise UnknownWorkflowError(name, {*BUILT_IN, *(plan.get("workflows") or {})})
    shared = {key: value for key, value in known.items() if key in definition.parameters}
    taken = fill_parameters(name, definition.parameters, {**shared, **asked}, allow_custom=allow_custom)
    return update_by_stages(definition.plan(taken, future), filled)
