"""The node and instance parts of the context, on those of the SDK."""

from outrider.plugins.sdk.errors import NonRecoverableError
from outrider_facade.tracking import DirtyTrackingDict, ImmutableProperties


class SubjectSource:
    """Makes the parts for one SDK context."""

    def __init__(self, sdk_context, raw):
        self._sdk = sdk_context
        self._raw = raw

    def node(self):
        """Return ``ctx.node``."""
        return NodeContext.of(self._sdk.node, self._raw)

    def instance(self):
        """Return ``ctx.instance``."""
        return NodeInstanceContext.of(self._sdk.instance, self._raw)

    def end(self, side):
        """Return ``ctx.source`` or ``ctx.target``."""
        end = getattr(self._sdk, side)
        raw = {**self._raw, "node_id": end.instance.id, "node_name": end.node.id}
        return RelationshipSubjectContext(
            raw, node=NodeContext.of(end.node, raw), instance=NodeInstanceContext.of(end.instance, raw)
        )


class NodeContext:
    """A node."""

    def __init__(self, context=None, **_settings):
        self._context = context or {}
        self._sdk_node = None
        self._properties = None

    @classmethod
    def of(cls, sdk_node, raw):
        """Return the view of a node of the SDK."""
        node = cls(raw)
        node._sdk_node = sdk_node
        return node

    def _known(self):
        if self._sdk_node is None:
            raise NonRecoverableError("the node's data is not there: this context was made from a dict")
        return self._sdk_node

    @property
    def id(self):
        """The node's name."""
        return self._context.get("node_name") if self._sdk_node is None else self._sdk_node.id

    @property
    def name(self):
        """The node's name."""
        return self.id

    @property
    def type(self):
        """The node's type."""
        return self._known().type

    @property
    def type_hierarchy(self):
        """The types from the root to the node's own."""
        return list(self._known().type_hierarchy)

    @property
    def properties(self):
        """The properties; they cannot be assigned, nested values are the operation's own."""
        if self._properties is None:
            self._properties = ImmutableProperties(self._known().properties)
        return self._properties


class NodeInstanceContext:
    """A node instance."""

    def __init__(self, context=None, **_settings):
        self._context = context or {}
        self._sdk_instance = None
        self._relationships = None
        self._runtime_properties = None

    @classmethod
    def of(cls, sdk_instance, raw):
        """Return the view of an instance of the SDK."""
        instance = cls(raw)
        instance._sdk_instance = sdk_instance
        return instance

    def _known(self):
        if self._sdk_instance is None:
            raise NonRecoverableError("the instance's data is not there: this context was made from a dict")
        return self._sdk_instance

    @property
    def id(self):
        """The instance's id."""
        return self._context.get("node_id") if self._sdk_instance is None else self._sdk_instance.id

    @property
    def runtime_properties(self):
        """The runtime properties; saved after the operation, also when it fails."""
        if not isinstance(self._runtime_properties, DirtyTrackingDict):
            tracked = self._known().tracked
            self._runtime_properties = DirtyTrackingDict(tracked.live)
            tracked.present(self._runtime_properties)
        return self._runtime_properties

    @runtime_properties.setter
    def runtime_properties(self, values):
        properties = DirtyTrackingDict(values)
        properties.dirty = True
        self._runtime_properties = properties
        self._known().tracked.assign(properties)

    def update(self, on_conflict=None):
        """Save changed runtime properties now.

        They are merged into what is stored, so that there are no conflicts; the handler is asked once, as existing
        ones expect, with the same mapping twice.
        """
        properties = self.runtime_properties
        if on_conflict is not None and (properties.dirty or self._known().tracked.dirty):
            merged = on_conflict(properties, properties)
            if merged is not None and merged is not properties:
                content = dict(merged)
                dict.clear(properties)
                dict.update(properties, content)
        self._known().update()
        properties.dirty = False

    def refresh(self, force=False):
        """Read the runtime properties again; unsaved changes raise NonRecoverableError unless `force` drops them."""
        properties = self.runtime_properties
        self._known().refresh(force=force)
        properties.dirty = False

    @property
    def relationships(self):
        """The instance's relationships."""
        if self._relationships is None:
            self._relationships = [RelationshipContext.of(item, self._context) for item in self._known().relationships]
        return self._relationships

    @property
    def host_ip(self):
        """The address of the instance's host."""
        return self._known().host_ip

    @property
    def index(self):
        """1 for the first instance of the node."""
        return self._known().index

    @property
    def scaling_groups(self):
        """Id -> name of the scaling groups that the instance belongs to."""
        return {group.get("id"): group.get("name") for group in self._known().scaling_groups}

    @property
    def system_properties(self):
        """What workflows keep about the instance."""
        return self._known().system_properties

    @property
    def drift(self):
        """What a drift check found."""
        system = self.system_properties
        return (system.get("configuration_drift") or {}).get("result")

    @property
    def _node_instance(self):
        return _NodeInstance(self)

    def _get_node_instance_if_needed(self):
        return self._node_instance


class _NodeInstance:
    """What some plugins read of the record behind the instance."""

    def __init__(self, instance):
        known = instance._known()
        self.id = known.id
        self.host_id = known.host_id
        self.runtime_properties = instance.runtime_properties
        self.index = known.index


class RelatedInstanceContext(NodeInstanceContext):
    """An instance at the other end of a relationship: its runtime properties can be read only."""

    @property
    def runtime_properties(self):
        """The runtime properties; any change raises NonRecoverableError."""
        if self._runtime_properties is None:
            properties = DirtyTrackingDict(self._known().runtime_properties)
            properties.modifiable = False
            self._runtime_properties = properties
        return self._runtime_properties

    def refresh(self, force=False):
        """Do nothing: what is known of the other end travelled with the task."""


class RelationshipContext:
    """A relationship of an instance."""

    def __init__(self, type=None, target=None, type_hierarchy=None):
        self._type = type
        self._target = target
        self._type_hierarchy = type_hierarchy or []

    @classmethod
    def of(cls, relationship, raw):
        """Return the view of a relationship of the SDK."""
        target = relationship.target
        raw = {**raw, "node_id": target.instance.id, "node_name": target.node.id}
        end = RelationshipSubjectContext(
            raw, node=NodeContext.of(target.node, raw), instance=RelatedInstanceContext.of(target.instance, raw)
        )
        return cls(relationship.type, end, list(relationship.type_hierarchy))

    @property
    def type(self):
        """The relationship's type."""
        return self._type

    @property
    def type_hierarchy(self):
        """The types from the root to the relationship's own."""
        return self._type_hierarchy

    @property
    def target(self):
        """The other end."""
        return self._target


class RelationshipSubjectContext:
    """One end of a relationship."""

    def __init__(self, context, node=None, instance=None):
        self._context = context
        self._node = node
        self._instance = instance

    @property
    def node(self):
        """The node."""
        return self._node

    @property
    def instance(self):
        """The instance."""
        return self._instance
