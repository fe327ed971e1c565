"""Names of `cloudify.plugins.lifecycle`: they can be imported; a call says that they are not provided here."""

from outrider_facade.workflows import not_provided

install_node_instances = not_provided(__name__, "install_node_instances")
uninstall_node_instances = not_provided(__name__, "uninstall_node_instances")
reinstall_node_instances = not_provided(__name__, "reinstall_node_instances")
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


class LifecycleProcessor:
    """Refuses to be made: graphs of lifecycle operations are the dispatcher's."""

    def __init__(self, *args, **kwargs):
        not_provided(__name__, "LifecycleProcessor")(*args, **kwargs)


def is_host_node(instance):
    """Say whether a node instance is a host."""
    return "cloudify.nodes.Compute" in instance.node.type_hierarchy
