"""Lifecycle graphs for workflow functions: the dispatcher's own planners make them, and it runs them.

So a plugin's install takes the same steps, skips and recoveries as the workflow `install`. Each of them waits
until what it began has ended.
"""

from outrider_facade import missing_from
from outrider_facade.workflow.graph import SubgraphTask

__getattr__ = missing_from(__name__)

LIFECYCLE = "cloudify.interfaces.lifecycle"
_HEAL = ("preheal", "heal", "postheal")
_UPDATE = ("preupdate", "update", "postupdate", "update_config", "update_apply", "update_postapply")


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


def heal_node_instances(graph, node_instances, related_nodes=None):  # noqa: ARG001 - the interface's argument
    """Run preheal, heal and postheal of instances."""
    _run_operations(graph, _HEAL, node_instances)


def update_node_instances(graph, node_instances, related_nodes=None, name_prefix=""):  # noqa: ARG001
    """Run the update operations of instances, one after the other."""
    _run_operations(graph, _UPDATE, node_instances)


def rollback_node_instances(graph, node_instances, related_nodes=None, name_prefix="", full_rollback=False):  # noqa: ARG001
    """Undo what an install left half-way; with `full_rollback`, uninstall everything afterwards."""
    _run(graph, "rollback", f"{name_prefix}rollback", {"instances": _ids(node_instances)})
    if full_rollback:
        uninstall_node_instances(graph, graph.ctx.node_instances, ignore_failure=True, name_prefix=name_prefix)


def execute_establish_relationships(graph, node_instances, related_nodes=None, modified_relationship_ids=None):  # noqa: ARG001
    """Establish relationships of instances: all, or those that lead to the nodes named by their node."""
    _run(graph, "establish", "establish", _relationships(node_instances, modified_relationship_ids))


def execute_unlink_relationships(graph, node_instances, related_nodes=None, modified_relationship_ids=None):  # noqa: ARG001
    """Unlink relationships of instances: all, or those that lead to the nodes named by their node."""
    _run(graph, "unlink", "unlink", _relationships(node_instances, modified_relationship_ids))


def install_node_instance_subgraph(instance, graph, **_others):
    """Return a new subgraph of the graph in which the dispatcher installs an instance."""
    return _planned_subgraph(graph, f"install_{instance.id}", "install", {"instances": [instance.id]})


def uninstall_node_instance_subgraph(instance, graph, ignore_failure=False):
    """Return a new subgraph of the graph in which the dispatcher uninstalls an instance."""
    parameters = {"instances": [instance.id], "ignore_failure": ignore_failure}
    return _planned_subgraph(graph, f"uninstall_{instance.id}", "uninstall", parameters)


def reinstall_node_instance_subgraph(instance, graph, ignore_failure=False):
    """Return a new subgraph of the graph in which the dispatcher uninstalls an instance and installs it again."""
    parameters = {"instances": [instance.id], "ignore_failure": ignore_failure}
    return _planned_subgraph(graph, f"reinstall_{instance.id}", "reinstall", parameters)


def plugins_install_task(host_node_instance, plugins_to_install):  # noqa: ARG001 - the interface's arguments
    """Return None, for nothing to do: an agent installs a plugin with the first operation that needs it."""
    return


class LifecycleProcessor:
    """Installs, uninstalls, heals, updates or rolls back a set of instances of one graph."""

    def __init__(self, graph, node_instances=(), related_nodes=(), ignore_failure=False, name_prefix="", **_others):
        self._graph = graph
        self._instances = set(node_instances)
        self._related = related_nodes
        self._ignore_failure = ignore_failure
        self._prefix = name_prefix

    def install(self):
        """Install them."""
        install_node_instances(self._graph, self._instances, self._related, self._prefix)

    def uninstall(self):
        """Uninstall them."""
        uninstall_node_instances(self._graph, self._instances, self._ignore_failure, self._related, self._prefix)

    def heal(self):
        """Run their heal operations."""
        heal_node_instances(self._graph, self._instances, self._related)

    def update(self):
        """Run their update operations."""
        update_node_instances(self._graph, self._instances, self._related, self._prefix)

    def rollback(self, full_rollback=False):
        """Undo what is half-way."""
        rollback_node_instances(self._graph, self._instances, self._related, self._prefix, full_rollback)


def set_send_node_event_on_error_handler(task, instance):
    """Let a failed task be told as an event of the instance, and ignored."""
    from cloudify.workflows.tasks import HandlerResult

    def tell(failed):
        instance.ctx.logger.warning("Ignoring task %s failure of %s: %s", failed.name, instance.id, failed.error)
        return HandlerResult.ignore()

    task.on_failure = tell


def is_host_node(instance):
    """Say whether a node instance is a host."""
    return "cloudify.nodes.Compute" in instance.node.type_hierarchy


def _run(graph, planner, name, parameters):
    graph.ctx.following.plan(planner, name.replace("/", "-"), parameters)


def _run_operations(graph, names, node_instances):
    for name in names:
        operation = f"{LIFECYCLE}.{name}"
        ids = sorted(each.id for each in node_instances if each.node.has_operation(operation))
        if ids:
            parameters = {"operation": operation, "node_instance_ids": ids, "run_by_dependency_order": True}
            _run(graph, "execute_operation", name, parameters)


def _relationships(node_instances, modified):
    return {"instances": _ids(node_instances), "modified": modified}


def _planned_subgraph(graph, name, planner, parameters):
    return graph.add_task(SubgraphTask(name, {"planner": planner, "parameters": parameters}))


def _ids(node_instances):
    return sorted(each.id for each in node_instances)
