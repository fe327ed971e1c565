"""From a task to the raw context dict that existing plugins read as ``ctx._context``."""

import os


def raw_context(task):
    """Return the ``__cloudify_context`` form of a task (the JSON form of `OperationTask`)."""
    context = task["context"]
    details = context.get("deployment_details") or {}
    extras = context.get("extras") or {}
    raw = {
        "type": "operation",
        "task_id": task["task_id"],
        "task_name": task["operation"],
        "task_queue": extras.get("task_queue"),
        "task_target": extras.get("task_target"),
        "timeout": task.get("timeout_seconds"),
        "timeout_recoverable": extras.get("timeout_recoverable", False),
        "resume": bool(task.get("resumed")),
        "executor": extras.get("executor"),
        "execution_env": extras.get("execution_env") or {},
        "execution_id": task["execution_id"],
        "workflow_id": context["workflow"],
        "workflow_parameters": context.get("workflow_parameters") or {},
        "execution_creator_username": extras.get("execution_creator_username"),
        "execution_token": extras.get("execution_token"),
        "bypass_maintenance": extras.get("bypass_maintenance"),
        "tenant": {"name": context.get("tenant") or "default_tenant"},
        "rest_token": extras.get("rest_token"),
        "rest_host": extras.get("rest_host") or os.environ.get("REST_HOST"),
        "rest_port": extras.get("rest_port") or os.environ.get("REST_PORT"),
        "rest_ssl_cert": extras.get("rest_ssl_cert"),
        "blueprint_id": context["blueprint"],
        "deployment_id": context["deployment"],
        "deployment_display_name": details.get("display_name") or context["deployment"],
        "deployment_creator": details.get("creator"),
        "deployment_resource_tags": details.get("resource_tags"),
        "runtime_only_evaluation": details.get("runtime_only_evaluation"),
        "operation": _operation(context),
        "plugin": _plugin(task, context),
        **_subject(context),
    }
    raw["local"] = raw["rest_host"] is None
    return raw


def _operation(context):
    operation = {
        "name": context["operation"],
        "retry_number": context.get("retry_number") or 0,
        "max_retries": context.get("max_retries", -1),
    }
    if context.get("relationship_side"):
        operation["relationship"] = context["relationship_side"]
    return operation


def _plugin(task, context):
    plugin = task.get("plugin") or {}
    details = plugin.get("details") or {}
    return {
        "name": plugin.get("name"),
        "package_name": details.get("package_name"),
        "package_version": details.get("package_version") or plugin.get("version"),
        "visibility": details.get("visibility"),
        "tenant_name": details.get("tenant_name") or context.get("tenant"),
        "source": details.get("source"),
        "properties": details.get("properties"),
    }


def _subject(context):
    """Return whom the operation is about; in relationship operations, the executing side first."""
    source, target = context.get("source"), context.get("target")
    if source and target:
        on_target = context.get("relationship_side") == "target"
        own, other = (target, source) if on_target else (source, target)
        related = {"node_id": other["instance"], "node_name": other["node"], "is_target": not on_target}
        return {
            "node_id": own["instance"],
            "node_name": own["node"],
            "host_id": own.get("host_instance"),
            "related": related,
        }
    node = context.get("node")
    if node:
        return {"node_id": node["instance"], "node_name": node["node"], "host_id": node.get("host_instance")}
    return {}
