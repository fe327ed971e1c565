"""Nodes, instances and relationships as workflow functions see them; made from the deployment's view."""

from outrider.plugins.sdk.errors import NonRecoverableError
from outrider_facade.workflow.graph import WorkflowTask


class WorkflowNode:
    """A node of the deployment."""

    def __init__(self, ctx, record):
        self._ctx = ctx
        self._record = record

    def __repr__(self):
        return f"<node {self.id}>"

    @property
    def id(self):
        """Its name."""
        return self._record["id"]

    name = id

    @property
    def type(self):
        """Its type."""
        return self._record["type"]

    @property
    def type_hierarchy(self):
        """Its type and all types that it derives from."""
        return list(self._record.get("type_hierarchy") or [self.type])

    @property
    def properties(self):
        """Its properties, as the plan has them."""
        return self._record.get("properties") or {}

    @property
    def plugins(self):
        """The plan's entries of its plugins."""
        return list(self._record.get("plugins") or ())

    @property
    def plugins_to_install(self):
        """The plan's entries of those plugins that its host's agent installs."""
        return list(self._record.get("plugins_to_install") or ())

    @property
    def host_id(self):
        """The node that hosts it, if there is one."""
        return self._record.get("host_id")

    @property
    def host_node(self):
        """The node that hosts it, if there is one."""
        return None if self.host_id is None else self._ctx.get_node(self.host_id)

    @property
    def number_of_instances(self):
        """How many instances there are."""
        return len(list(self.instances))

    @property
    def planned_number_of_instances(self):
        """How many instances there shall be."""
        capabilities = self._record.get("capabilities") or {}
        scalable = (capabilities.get("scalable") or {}).get("properties") or {}
        return int(scalable.get("planned_instances", scalable.get("current_instances", self.number_of_instances)))

    @property
    def operations(self):
        """Its operations by full name."""
        return self._record.get("operations") or {}

    @property
    def relationships(self):
        """Its relationships."""
        return [WorkflowRelationship(self, each) for each in self._record.get("relationships") or ()]

    @property
    def instances(self):
        """Its instances."""
        return iter([each for each in self._ctx.node_instances if each.node_id == self.id])

    def has_operation(self, operation_name):
        """Say whether the plan knows an operation of this name."""
        return operation_name in self.operations

    def get_relationship(self, target_id):
        """Return the relationship to a node, None if there is none."""
        return next((each for each in self.relationships if each.target_id == target_id), None)


class WorkflowRelationship:
    """A relationship of a node."""

    def __init__(self, node, record):
        self._node = node
        self._record = record
        self.target_id = record["target_id"]
        self.type = record["type"]
        self.type_hierarchy = list(record.get("type_hierarchy") or [self.type])
        self.properties = record.get("properties") or {}
        self.source_operations = record.get("source_operations") or {}
        self.target_operations = record.get("target_operations") or {}

    @property
    def source_node(self):
        """The node that it starts at."""
        return self._node

    @property
    def target_node(self):
        """The node that it leads to."""
        return self._node._ctx.get_node(self.target_id)

    def is_derived_from(self, other_relationship):
        """Say whether its type is, or derives from, this one."""
        return other_relationship in self.type_hierarchy


class WorkflowNodeInstance:
    """An instance of a node."""

    #: "added" or "removed" by the modification that it was taken from.
    modification = None

    def __init__(self, ctx, record):
        self._ctx = ctx
        self._record = record

    def __repr__(self):
        return f"<node instance {self.id}>"

    def __eq__(self, other):
        return isinstance(other, WorkflowNodeInstance) and self.id == other.id

    def __hash__(self):
        return hash(self.id)

    def take(self, record):
        """Take over what the dispatcher says of it now."""
        self._record = record

    @property
    def ctx(self):
        """The context of the workflow."""
        return self._ctx

    @property
    def id(self):
        """Its id."""
        return self._record["id"]

    @property
    def _node_instance(self):
        """Itself: plugins write to the runtime properties of what they expect to stand behind it."""
        return self

    @property
    def node_id(self):
        """The node's name."""
        return self._record["node"]

    @property
    def node(self):
        """The node."""
        return self._ctx.get_node(self.node_id)

    @property
    def state(self):
        """Its state, as of the last look."""
        return self._record["state"]

    @property
    def version(self):
        """The stored version."""
        return self._record["version"]

    @property
    def index(self):
        """Its number among the node's instances, from 1."""
        return self._record["index"]

    @property
    def host_id(self):
        """The instance that hosts it."""
        return self._record.get("host")

    @property
    def runtime_properties(self):
        """Its runtime properties; `ctx.update_node_instance` stores what is changed in them."""
        return self._record["runtime_properties"]

    @property
    def system_properties(self):
        """What the dispatcher noted about it."""
        return self._record["system_properties"]

    @property
    def scaling_groups(self):
        """The scaling groups that it is in."""
        return list(self._record.get("scaling_groups") or ())

    @property
    def logger(self):
        """The workflow's logger."""
        return self._ctx.logger

    @property
    def relationships(self):
        """Its relationships."""
        return iter([WorkflowRelationshipInstance(self, each) for each in self._record["relationships"]])

    @property
    def contained_instances(self):
        """The instances that are contained in it."""
        contained = "cloudify.relationships.contained_in"
        return [
            each
            for each in self._ctx.node_instances
            for relationship in each.relationships
            if relationship.target_id == self.id and relationship.relationship.is_derived_from(contained)
        ]

    def get_contained_subgraph(self):
        """Return this instance and all that are contained in it, directly or not."""
        found = {self}
        for each in self.contained_instances:
            found |= each.get_contained_subgraph()
        return found

    def get_state(self):
        """Return its state as it is now, as a result."""
        self._ctx.refresh_node_instances()
        return Known(self.state)

    def set_state(self, state):
        """Give it a state."""
        fields = {"kind": "set_state", "instance": self.id, "state": state}
        return self._ctx.dispatch(WorkflowTask(f"set_state_{self.id}", fields, info=state))

    def send_event(self, event, additional_context=None):  # noqa: ARG002 - the interface's argument
        """Show an event of the instance."""
        fields = {"kind": "event", "instance": self.id, "message": event}
        return self._ctx.dispatch(WorkflowTask(f"event_{self.id}", fields, info=event))

    def execute_operation(self, operation, kwargs=None, allow_kwargs_override=None, send_task_events=True):  # noqa: ARG002
        """Run one of its operations."""
        fields = {"instance": self.id}
        return _operation(self._ctx, self.node.operations, operation, fields, kwargs, allow_kwargs_override)


class WorkflowRelationshipInstance:
    """A relationship of an instance."""

    def __init__(self, instance, record):
        self.node_instance = instance
        self._record = record
        self.type = record["type"]
        self.source_id = instance.id
        self.target_id = record["target_instance"]

    @property
    def relationship(self):
        """The node's relationship."""
        return self.node_instance.node.relationships[self._record["index"]]

    @property
    def source_node_instance(self):
        """The instance that it starts at."""
        return self.node_instance

    @property
    def target_node_instance(self):
        """The instance that it leads to."""
        return self.node_instance.ctx.get_node_instance(self.target_id)

    def execute_source_operation(self, operation, kwargs=None, allow_kwargs_override=None, send_task_events=True):  # noqa: ARG002
        """Run an operation of the source."""
        return self._execute("source", operation, kwargs, allow_kwargs_override)

    def execute_target_operation(self, operation, kwargs=None, allow_kwargs_override=None, send_task_events=True):  # noqa: ARG002
        """Run an operation of the target."""
        return self._execute("target", operation, kwargs, allow_kwargs_override)

    def _execute(self, side, operation, kwargs, allow_override):
        fields = {
            "instance": self.source_id,
            "target": self.target_id,
            "side": side,
            "relationship": self._record["index"],
        }
        operations = getattr(self.relationship, f"{side}_operations")
        return _operation(self.node_instance.ctx, operations, operation, fields, kwargs, allow_override)


class Known:
    """A result that is there already."""

    def __init__(self, value):
        self._value = value

    def get(self, retry_on_failure=True):  # noqa: ARG002 - the interface's argument
        """Return it."""
        return self._value


def _operation(ctx, operations, name, fields, kwargs, allow_override):
    record = operations.get(name)
    if record is None:
        raise NonRecoverableError(f"operation {name} does not exist for {fields['instance']}")
    short = f"{name.rpartition('.')[2]}_{fields['instance']}"
    if not record.get("operation"):
        # Declared and not implemented: nothing is to be done, and what waits for it goes on.
        return ctx.dispatch(WorkflowTask(short, {"kind": "join"}, info=name))
    fields = {**fields, "kind": "operation", "operation": name, "kwargs": kwargs, "allow_override": allow_override}
    return ctx.dispatch(WorkflowTask(short, fields, info=name))
