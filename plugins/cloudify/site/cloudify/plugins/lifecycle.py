"""Lifecycle graphs for workflow functions: the dispatcher's own planners make them, and it runs them.

So a plugin's install takes the same steps, skips and recoveries as the workflow `install`. Each of them waits
until what it began has ended. Names that are not provided can be imported; a call says so.
"""

from outrider_facade.workflows import not_provided

heal_node_instances = not_provided(__name__, "heal_node_instances")
update_node_instances = not_provided(__name__, "update_node_instances")
rollback_node_instances = not_provided(__name__, "rollback_node_instances")
execute_establish_relationships = not_provided(__name__, "execute_establish_relationships")
execute_unlink_relationships = not_provided(__name__, "execute_unlink_relationships")
install_node_instance_subgraph = not_provided(__name__, "install_node_instance_subgraph")
uninstall_node_instance_subgraph = not_provided(__name__, "uninstall_node_instance_subgraph")
reinstall_node_instance_subgraph = not_provided(__name__, "reinstall_node_instance_subgraph")
set_send_node_event_on_error_handler = not_provided(__name__, "set_send_node_event_on_error_handler")
plugins_install_task = not_provided(__name__, "plugins_install_task")


def install_node_instances(graph, node_instances, related_nodes=None, name_prefix=""):  # noqa: ARG001
    """Install instances; those that exist beside them get their relationships established."""
    _run(graph, "install", f"{name_prefix}install", {"instances": _ids(node_instances)})


def uninstall_node_instances(graph, node_instances, ignore_failure=False, related_nodes=None, name_prefix=""):  # noqa: ARG001
    """Uninstall instances; those that exist beside them are unlinked."""
    parameters = {"instances": _ids(node_instances), "ignore_failure": ignore_failure}
    _run(graph, "uninstall", f"{name_prefix}uninstall", parameters)


def reinstall_node_instances(graph, node_instances, ignore_failure=False, related_nodes=None):
    """Uninstall instances, then install them."""
    instances = list(node_instances)
    uninstall_node_instances(graph, instances, ignore_failure, related_nodes, "reinstall-")
    install_node_instances(graph, instances, related_nodes, "reinstall-")


class LifecycleProcessor:
    """Refuses to be made: graphs of lifecycle operations are the dispatcher's."""

    def __init__(self, *args, **kwargs):
        not_provided(__name__, "LifecycleProcessor")(*args, **kwargs)


def is_host_node(instance):
    """Say whether a node instance is a host."""
    return "cloudify.nodes.Compute" in instance.node.type_hierarchy


def _run(graph, planner, name, parameters):
    graph.ctx.following.plan(planner, name.replace("/", "-"), parameters)


def _ids(node_instances):
    return sorted(each.id for each in node_instances)
