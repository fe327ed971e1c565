"""What an operation sees as ``ctx``: built from the model just before an attempt is stored."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from outrider.dispatcher.blueprint import Scope, evaluate, has_markers
from outrider.dispatcher.blueprint.functions.markers import protect
from outrider.dispatcher.facts import ModelFacts
from outrider.dispatcher.model import Model
from outrider.dispatcher.plan_values import PlanValues
from outrider.dispatcher.run import Run
from outrider.dispatcher.workflows.brought import is_function
from outrider.dispatcher.workflows.graph import Side, Task
from outrider.dispatcher.workflows.view import InstanceView
from outrider.messaging.messages import InstanceContext, OperationContext, RelatedInstance

Json = Mapping[str, Any]


def scope_of(task: Task) -> Scope:
    """Return whom SELF, SOURCE and TARGET mean for a task."""
    if task.side is None:
        return Scope(self_id=task.instance)
    return Scope(source_id=task.instance, target_id=task.target)


def operation_context(
    run: Run, task: Task, facts: ModelFacts | None, *, retries: int, max_retries: int
) -> OperationContext:
    """Return the context of one attempt."""
    execution, values = run.execution, run.values
    node = source = target = None
    details: Json = {}
    extras: dict[str, Any] = {}
    if execution.created_by is not None:
        extras["execution_creator"] = execution.created_by
    if is_function(task):
        extras["workflow"] = True
    if run.model is not None and facts is not None and task.instance is not None:
        own = instance_context(run.model, facts, run.model.instances[task.instance])
        if task.side is None:
            node = own
        else:
            source, target = own, instance_context(run.model, facts, run.model.instances[task.target or ""])
        details = values.once("deployment_details", functools.partial(_deployment_details, run.model))
    return OperationContext(
        operation=task.operation or "",
        workflow=run.workflow.function or execution.workflow,
        deployment=execution.deployment_id or "",
        blueprint=execution.blueprint_id or "",
        tenant=execution.tenant,
        retry_number=retries,
        max_retries=max_retries,
        relationship_side=None if task.side is None else _SIDES[task.side],
        node=node,
        source=source,
        target=target,
        deployment_details=details,
        workflow_parameters=(
            task.kwargs or {}
            if is_function(task)
            else values.once("workflow_parameters", lambda: _shown(execution.parameters))
        ),
        extras=extras,
    )


def instance_context(model: Model, facts: ModelFacts, instance: InstanceView) -> InstanceContext:
    """Return one side of a context."""
    node = model.nodes[instance.node]
    host = model.instances.get(instance.host or "")
    return InstanceContext(
        node=instance.node,
        type=node["type"],
        type_hierarchy=tuple(node["type_hierarchy"]),
        properties=_properties(model.values, node, instance, facts),
        instance=instance.id,
        runtime_properties=_data(instance.runtime_properties),
        version=instance.version,
        index=instance.index,
        host_instance=instance.host,
        host_ip=None if host is None else host_ip(model, host),
        relationships=tuple(
            _related(model, facts, node, each.target_instance, each.index) for each in instance.relationships
        ),
        scaling_groups=instance.scaling_groups,
        system_properties=instance.system_properties,
    )


def secrets_of(context: OperationContext, values: PlanValues) -> set[str]:
    """Return the secrets that the properties in a context refer to."""
    names: set[str] = set()
    for side in (context.node, context.source, context.target):
        if side is not None:
            names |= values.secrets(side.properties)
            for each in side.relationships:
                names |= values.secrets(each.target_properties)
    return names


def host_ip(model: Model, host: InstanceView) -> str | None:
    """Return a host's address: its runtime property ``ip``, else its node's property."""
    found = host.runtime_properties.get("ip") or model.nodes[host.node].get("properties", {}).get("ip")
    return found if isinstance(found, str) and found else None


def _related(model: Model, facts: ModelFacts, node: Json, target_id: str, index: int) -> RelatedInstance:
    relationship = node["relationships"][index]
    target = model.instances[target_id]
    target_node = model.nodes[target.node]
    return RelatedInstance(
        type=relationship["type"],
        type_hierarchy=tuple(relationship.get("type_hierarchy") or ()),
        target_node=target.node,
        target_instance=target.id,
        target_node_type=target_node["type"],
        target_type_hierarchy=tuple(target_node["type_hierarchy"]),
        target_properties=_properties(model.values, target_node, target, facts),
        target_runtime_properties=_data(target.runtime_properties),
    )


def _properties(values: PlanValues, node: Json, instance: InstanceView, facts: ModelFacts) -> Json:
    properties: Json = node.get("properties") or {}
    known = values.of(properties)
    if not known.functions:
        return known.written
    evaluated: Json = evaluate(properties, scope=Scope(self_id=instance.id), storage=facts)
    return evaluated


def _data(value: Json) -> Json:
    """Data that looks like a reference to a secret stays data."""
    protected: Json = protect(value) if value and has_markers(value) else value
    return protected


def _shown(parameters: Json) -> Json:
    """Leave out the plan that an update is to reach: it may be larger than everything else in the message."""
    return {name: value for name, value in parameters.items() if name != "plan"} if "plan" in parameters else parameters


def _deployment_details(model: Model) -> Json:
    deployment = model.deployment
    return {
        "display_name": deployment.display_name,
        "creator": deployment.details.get("created_by"),
        "resource_tags": deployment.plan.get("resource_tags") or {},
        "runtime_only_evaluation": bool(deployment.details.get("runtime_only_evaluation")),
    }


_SIDES = {Side.SOURCE: "source", Side.TARGET: "target"}
