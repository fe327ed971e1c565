"""Built-in workflows that workflow functions call; the dispatcher plans and runs them.

Names that are not provided can be imported; a call says so.
"""

from outrider_facade import missing_from
from outrider_facade.workflows import not_provided

from cloudify.exceptions import NonRecoverableError
from cloudify.plugins import lifecycle

__getattr__ = missing_from(__name__)

update = not_provided(__name__, "update")


def install(ctx, **_filters):
    """Install the whole deployment."""
    ctx.following.plan("install", "install", {"instances": sorted(each.id for each in ctx.node_instances)})


def uninstall(ctx, ignore_failure=False, **_filters):
    """Uninstall the whole deployment."""
    instances = sorted(each.id for each in ctx.node_instances)
    ctx.following.plan("uninstall", "uninstall", {"instances": instances, "ignore_failure": ignore_failure})


def execute_operation(  # noqa: PLR0913 - the interface's arguments
    ctx,
    operation,
    operation_kwargs=None,
    allow_kwargs_override=None,
    run_by_dependency_order=False,
    type_names=None,
    node_ids=None,
    node_instance_ids=None,
    **_others,
):
    """Run one operation on the instances that implement it and fit the filters."""
    parameters = {
        "operation": operation,
        "operation_kwargs": operation_kwargs,
        "allow_kwargs_override": allow_kwargs_override,
        "run_by_dependency_order": run_by_dependency_order,
        "type_names": type_names,
        "node_ids": node_ids,
        "node_instance_ids": node_instance_ids,
    }
    ctx.following.plan("execute_operation", "execute_operation", parameters)


def auto_heal_reinstall_node_subgraph(
    ctx, node_instance_id, diagnose_value="Not provided", ignore_failure=True, **_others
):
    """Reinstall what is on an instance's host, the host included."""
    instance = _instance(ctx, node_instance_id)
    ctx.logger.info("Reinstalling what is on the host of %s (%s)", instance.id, diagnose_value)
    root = ctx.get_node_instance(instance.host_id) or instance
    lifecycle.reinstall_node_instances(ctx.internal.task_graph, root.get_contained_subgraph(), ignore_failure)


def scale_entity(  # noqa: PLR0913 - the interface's arguments
    ctx,
    scalable_entity_name,
    delta,
    scale_compute=False,
    ignore_failure=False,
    include_instances=None,
    exclude_instances=None,
    rollback_if_failed=True,
    **_others,
):
    """Change the number of instances of a node or a scaling group by `delta`, and install or uninstall them."""
    if not int(delta):
        ctx.logger.info("delta is 0: there is nothing to scale")
        return
    name, present = _scaled(ctx, scalable_entity_name, scale_compute)
    wanted = {
        "instances": present + int(delta),
        "removed_ids_include_hint": _listed(include_instances),
        "removed_ids_exclude_hint": _listed(exclude_instances),
    }
    modification = ctx.deployment.start_modification({name: wanted})
    graph = ctx.internal.task_graph
    if int(delta) < 0:
        lifecycle.uninstall_node_instances(graph, _of(modification.removed, "removed"), ignore_failure)
        modification.finish()
        return
    try:
        lifecycle.install_node_instances(graph, _of(modification.added, "added"))
    except RuntimeError:
        if rollback_if_failed:
            ctx.logger.warning("Scaling %s out failed: what it added is taken down again", name)
            lifecycle.uninstall_node_instances(graph, _of(modification.added, "added"), ignore_failure=True)
            modification.rollback()
        raise
    modification.finish()


def _scaled(ctx, name, scale_compute):
    """Return what is scaled, and how many instances of it there are now."""
    group = ctx.deployment.scaling_groups.get(name)
    if group is not None:
        return name, int(group["properties"]["current_instances"])
    node = ctx.get_node(name)
    if node is None:
        raise NonRecoverableError(f"the deployment has no scaling group and no node {name!r} to scale")
    if scale_compute and node.host_node is not None:
        node = node.host_node
    return node.id, int(node.number_of_instances)


def _of(side, kind):
    return [each for each in side.node_instances if each.modification == kind]


def _listed(instances):
    if isinstance(instances, str):
        return [each.strip() for each in instances.split(",") if each.strip()]
    return list(instances or ())


def _instance(ctx, node_instance_id):
    instance = ctx.get_node_instance(node_instance_id)
    if instance is None:
        raise NonRecoverableError(f"the deployment has no node instance {node_instance_id!r}")
    return instance
