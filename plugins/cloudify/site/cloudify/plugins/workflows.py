"""Built-in workflows that workflow functions call; the dispatcher plans and runs them.

Names that are not provided can be imported; a call says so.
"""

from outrider_facade.workflows import not_provided

scale_entity = not_provided(__name__, "scale_entity")
update = not_provided(__name__, "update")
auto_heal_reinstall_node_subgraph = not_provided(__name__, "auto_heal_reinstall_node_subgraph")


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
