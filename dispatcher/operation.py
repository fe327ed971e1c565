"""What the plan says about the operation behind a task: implementation, plugin, executor, retries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outrider.dispatcher.errors import OperationRefused
from outrider.dispatcher.retries import Policy
from outrider.dispatcher.run import Run
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.workflows.brought import brought_workflow, is_function
from outrider.dispatcher.workflows.graph import Side, Task
from outrider.dispatcher.workflows.topology import AGENT, NO_AGENT, install_method
from outrider.dispatcher.workflows.view import DeploymentView, InstanceView

Json = Mapping[str, Any]

CENTRAL, HOST, AUTO = "central_deployment_agent", "host_agent", "auto"

#: Operations that only look: they may be run again whatever became of the attempt before.
READ_ONLY = frozenset(
    {
        "cloudify.interfaces.host.get_state",
        "cloudify.interfaces.validation.check_status",
        "cloudify.interfaces.lifecycle.check_drift",
        "cloudify.interfaces.relationship_lifecycle.check_drift",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An operation of the plan, found."""

    #: The plan's record: plugin, operation, inputs, executor, retries ….
    record: Json
    #: The node and the instance that execute it; None for an operation that is sent to an agent directly.
    node: Json | None
    instance: InstanceView | None
    #: The plugin's entry of the plan; empty if the plan has none.
    plugin: Json

    @property
    def implementation(self) -> str:
        """``module.function`` inside the plugin."""
        return str(self.record["operation"])

    @property
    def executor(self) -> str:
        """Which agent runs it."""
        return self.record.get("executor") or self.plugin.get("executor") or CENTRAL


def find(run: Run, task: Task) -> Operation:
    """Return the operation behind `task`; raises `OperationRefused`."""
    direct = run.execution.details.get("direct")
    if direct is not None:
        return Operation(record=direct["record"], node=None, instance=None, plugin=direct["plugin_entry"])
    if is_function(task):
        return _function(run)
    if run.model is None or task.instance is None or task.operation is None:
        raise OperationRefused(f"task {task.id!r} names no instance and operation")
    instance = _instance(run, task.instance)
    executing = _instance(run, task.target or "") if task.side is Side.TARGET else instance
    key = instance.node, executing.node, task.operation, task.side, task.relationship
    known = run.operations.get(key)
    if known is None:
        known = run.operations[key] = _look_up(run, task, instance.node, executing.node)
    record, plugin = known
    return Operation(record=record, node=_node(run, executing.node), instance=executing, plugin=plugin)


def _function(run: Run) -> Operation:
    """Return the function of a workflow that a plugin brings; it runs on the central agent."""
    name = run.workflow.function or run.execution.workflow
    found = None if run.model is None else brought_workflow(name, run.model.view())
    if found is None or run.model is None:
        raise OperationRefused(f"the deployment's plan has no workflow {name!r} of a plugin any more")
    entry = _plugin_entry(found["plugin"], {}, {}, run.model.deployment.plan)
    record = {"plugin": found["plugin"], "operation": found["operation"], "executor": CENTRAL}
    return Operation(record=record, node=None, instance=None, plugin=entry)


def _look_up(run: Run, task: Task, node_name: str, executing: str) -> tuple[Json, Json]:
    """Return the operation's record and its plugin's entry."""
    node, owner = _node(run, node_name), _node(run, executing)
    if task.side is None:
        operations = node["operations"]
    else:
        operations = node["relationships"][task.relationship or 0][f"{task.side.value}_operations"]
    record = operations.get(task.operation)
    if not record or not record.get("operation"):
        raise OperationRefused(f"{task.operation} is not implemented for {task.instance!r} (task {task.id!r})")
    plan = {} if run.model is None else run.model.deployment.plan
    return record, _plugin_entry(record["plugin"], node, owner, plan)


def policy(settings: EngineSettings, run: Run, task: Task) -> Policy:
    """Return how often and when the operation is tried again."""
    node = (
        None
        if run.model is None or task.instance not in run.model.instances
        else run.model.instances[task.instance].node
    )
    key = node, task.operation, task.side, task.relationship, task.max_retries, task.retry_interval_seconds
    known = run.policies.get((*key, task.until_truthy, task.handled))
    if known is None:
        known = run.policies[(*key, task.until_truthy, task.handled)] = _policy(settings, run, task)
    return known


def _policy(settings: EngineSettings, run: Run, task: Task) -> Policy:
    try:
        record = find(run, task).record
    except OperationRefused:
        record = {}
    config = {} if run.model is None else run.model.config
    return Policy(
        max_retries=int(
            _first(task.max_retries, record.get("max_retries"), config.get("task_retries"), settings.max_retries)
        ),
        retry_interval_seconds=float(
            _first(
                task.retry_interval_seconds,
                record.get("retry_interval"),
                config.get("task_retry_interval"),
                settings.retry_interval_seconds,
            )
        ),
        timeout_recoverable=bool(record.get("timeout_recoverable")),
        until_truthy=task.until_truthy,
        once=is_function(task),
        handled=task.handled,
        idempotent=bool(task.until_truthy or record.get("idempotent") or task.operation in READ_ONLY),
    )


def timeout_seconds(task: Task, operation: Operation) -> float | None:
    """Return after which time the agent stops the operation."""
    value = _first(task.timeout_seconds, operation.record.get("timeout"))
    # The language writes "no limit" as 0.
    return float(value) if value else None


def agent_of(settings: EngineSettings, run: Run, task: Task, operation: Operation) -> str:
    """Return the id of the agent that runs the operation; raises `OperationRefused`."""
    direct = run.execution.details.get("direct")
    if direct is not None:
        return str(direct["agent"])
    if operation.executor == CENTRAL or operation.instance is None or run.model is None:
        return settings.central_agent
    host = run.model.instances.get(operation.instance.host or "")
    if host is None:
        if operation.executor == AUTO:
            return settings.central_agent
        raise OperationRefused(
            f"{task.operation} of {operation.instance.id!r} is to run on its host's agent, but the instance is "
            "contained in no host; use executor central_deployment_agent, or contain the node in a Compute node"
        )
    installed = host.runtime_properties.get("cloudify_agent") or {}
    host_node = _node(run, host.node)
    if task.operation == f"{AGENT}.stop_amqp" and not installed.get("version"):
        # An agent that never reported cannot stop itself; its queue may not even exist.
        return settings.central_agent
    if operation.executor == AUTO and not installed and install_method(host_node) == NO_AGENT:
        return settings.central_agent
    return str(installed.get("name") or host.id)


def _instance(run: Run, instance_id: str) -> InstanceView:
    found = None if run.model is None else run.model.instances.get(instance_id)
    if found is None:
        raise OperationRefused(f"node instance {instance_id!r} does not exist any more")
    return found


def _node(run: Run, name: str) -> Json:
    found = None if run.model is None else run.model.nodes.get(name)
    if found is None:
        raise OperationRefused(f"node {name!r} is not in the deployment's plan any more")
    return found


def _plugin_entry(name: str, node: Json, owner: Json, plan: Json) -> Json:
    for place in (owner, node):
        for entry in place.get("plugins") or ():
            if entry["name"] == name:
                return dict(entry)
    for group in ("deployment_plugins_to_install", "host_agent_plugins_to_install", "workflow_plugins_to_install"):
        for entry in plan.get(group) or ():
            if entry["name"] == name:
                return dict(entry)
    return {"name": name}


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


#: What an execution without a deployment (one operation on an agent) is planned from.
EMPTY_VIEW = DeploymentView(id="", nodes={}, instances={})
