"""Made-up contexts, which the unit tests of existing plugins use, down to their underscored attributes."""

import logging
import os
import tempfile

from outrider_facade import further_names
from outrider_facade.operation import OperationContext
from outrider_facade.subjects import NodeContext, NodeInstanceContext

from cloudify.constants import DEPLOYMENT, NODE_INSTANCE, RELATIONSHIP_INSTANCE
from cloudify.context import BootstrapContext, CloudifyContext, RelationshipSubjectContext
from cloudify.exceptions import NonRecoverableError

__getattr__ = further_names(__name__)


class MockContext(dict):
    """A dict whose items are attributes."""

    def __init__(self, values=None):
        super().__init__(values or {})
        self.__dict__ = self


class MockNodeContext(NodeContext):
    """A made-up node."""

    def __init__(self, id=None, properties=None, type=None, type_hierarchy=None):
        super().__init__()
        self._id = id
        self._type = type
        self._type_hierarchy = type_hierarchy
        # Not read-only: tests set them.
        self._properties = {} if properties is None else properties

    @property
    def id(self):
        """The node's name."""
        return self._id

    @property
    def type(self):
        """The node's type."""
        return self._type

    @property
    def type_hierarchy(self):
        """The types from the root to the node's own."""
        return self._type_hierarchy if self._type_hierarchy is not None else [self._type]

    @type_hierarchy.setter
    def type_hierarchy(self, types):
        self._type_hierarchy = types

    @property
    def properties(self):
        """The properties."""
        return self._properties


class MockNodeInstanceContext(NodeInstanceContext):
    """A made-up instance; nothing is saved anywhere."""

    def __init__(self, id=None, runtime_properties=None, relationships=None, index=None):
        super().__init__()
        self._id = id
        self._runtime_properties = {} if runtime_properties is None else runtime_properties
        self._relationships = [] if relationships is None else relationships
        self._index = index

    @property
    def id(self):
        """The instance's id."""
        return self._id

    @property
    def index(self):
        """The instance's number."""
        return self._index

    @property
    def runtime_properties(self):
        """The very mapping that was given."""
        return self._runtime_properties

    @runtime_properties.setter
    def runtime_properties(self, values):
        self._runtime_properties = values

    @property
    def relationships(self):
        """The relationships that were given."""
        return self._relationships

    @property
    def host_ip(self):
        """The runtime property ``ip``."""
        return self._runtime_properties.get("ip")

    @property
    def scaling_groups(self):
        """None."""
        return {}

    def update(self, on_conflict=None):
        """Do nothing."""

    def refresh(self, force=False):
        """Do nothing."""


class MockRelationshipContext:
    """A made-up relationship."""

    def __init__(self, target, type=None):
        self.target = target
        self.type = type
        self.type_hierarchy = [type]


class MockRelationshipSubjectContext(RelationshipSubjectContext):
    """A made-up end of a relationship."""

    def __init__(self, node, instance):
        super().__init__({}, node=node, instance=instance)


class MockOperationContext(OperationContext):
    """A made-up operation call."""

    def __init__(self, operation_context=None):
        super().__init__(operation_context or {})

    @property
    def name(self):
        """The name that was given."""
        return self._operation_context.get("name")


class MockCloudifyContext(CloudifyContext):
    """A made-up context."""

    def __init__(
        self,
        node_id=None,
        node_name=None,
        node_type=None,
        blueprint_id=None,
        deployment_id=None,
        execution_id=None,
        properties=None,
        runtime_properties=None,
        relationships=None,
        capabilities=None,
        related=None,
        source=None,
        target=None,
        operation=None,
        resources=None,
        tenant=None,
        rest_token=None,
        provider_context=None,
        bootstrap_context=None,
        config=None,
        brokers=None,
        managers=None,
        index=None,
        **more,
    ):
        tenant = tenant if tenant is not None else {}
        super().__init__(
            {
                "operation": operation or {},
                "node_id": node_id,
                "node_name": node_name,
                "node_type": node_type,
                "blueprint_id": blueprint_id,
                "deployment_id": deployment_id,
                "execution_id": execution_id,
                "tenant": tenant if isinstance(tenant, dict) else {"name": tenant},
                "rest_token": rest_token,
                "related": related,
                **more,
            }
        )
        self._node_id = node_id
        self._node_name = node_name
        self._execution_id = execution_id
        self._properties = {} if properties is None else properties
        self._runtime_properties = {} if runtime_properties is None else runtime_properties
        self._relationships = [] if relationships is None else relationships
        self._resources_given = resources or {}
        self._capabilities = capabilities
        self._related = related
        self._source = source
        self._target = target
        self._provider_context = provider_context
        self._bootstrap_context = bootstrap_context or BootstrapContext({})
        self._config = config
        self._brokers = brokers
        self._managers = managers
        self._mock_context_logger = _stdout_logger()
        self._operation = MockOperationContext(operation)
        self._type = None
        if source is None:
            self._node = MockNodeContext(node_name or node_id, self._properties, node_type)
            self._instance = MockNodeInstanceContext(node_id, self._runtime_properties, relationships, index)

    @property
    def _resources(self):
        return self._resources_given

    @_resources.setter
    def _resources(self, resources):
        self._resources_given = resources

    @property
    def type(self):
        """What was made up."""
        if self._type is not None:
            return self._type
        if self._source is not None:
            return RELATIONSHIP_INSTANCE
        return NODE_INSTANCE if self._node_id is not None else DEPLOYMENT

    @property
    def node(self):
        """The made-up node."""
        return self._node

    @property
    def instance(self):
        """The made-up instance."""
        return self._instance

    @property
    def source(self):
        """The made-up source."""
        return self._end(self._source, "ctx.source")

    @property
    def target(self):
        """The made-up target."""
        return self._end(self._target, "ctx.target")

    @property
    def execution_id(self):
        """The id that was given."""
        return self._execution_id

    @property
    def capabilities(self):
        """What was given."""
        return self._capabilities

    @property
    def logger(self):
        """A logger that writes to stdout."""
        return self._mock_context_logger

    @logger.setter
    def logger(self, logger):
        self._mock_context_logger = logger

    @property
    def provider_context(self):
        """What was given."""
        return self._provider_context

    @property
    def bootstrap_context(self):
        """What was given."""
        return self._bootstrap_context

    def get_brokers(self, network="default"):
        """Return what was given."""
        return self._brokers

    def get_managers(self, network="default"):
        """Return what was given."""
        return self._managers

    def send_event(self, event):
        """Log the event."""
        self.logger.info("event: %s", event)

    def get_resource(self, resource_path):
        """Return the file whose path was given for this resource."""
        path = self._resource_file(resource_path)
        with open(path, "rb") as file:
            return file.read()

    def download_resource(self, resource_path, target_path=None):
        """Copy the file whose path was given for this resource; without a target, return its path."""
        if target_path is None:
            return self._resource_file(resource_path)
        with open(target_path, "wb") as file:
            file.write(self.get_resource(resource_path))
        return target_path

    def get_resource_and_render(self, resource_path, template_variables=None):
        """Return the rendered resource."""
        from outrider.plugins.sdk.rendering import render

        text = self.get_resource(resource_path).decode("utf-8")
        return render(text, {**(template_variables or {}), "ctx": self}, name=resource_path, strict=False).encode()

    def download_resource_and_render(self, resource_path, target_path=None, template_variables=None):
        """Write the rendered resource."""
        if target_path is None:
            target_path = os.path.join(tempfile.mkdtemp(), os.path.basename(resource_path))
        with open(target_path, "wb") as file:
            file.write(self.get_resource_and_render(resource_path, template_variables))
        return target_path

    def __contains__(self, key):
        return key in self._properties or key in self._runtime_properties

    def __setitem__(self, key, value):
        self._runtime_properties[key] = value

    def __getitem__(self, key):
        return self._properties[key] if key in self._properties else self._runtime_properties[key]

    def _resource_file(self, resource_path):
        if resource_path not in self._resources:
            raise RuntimeError(
                f"the resource {resource_path} was not found: this context was made with {sorted(self._resources)}"
            )
        return self._resources[resource_path]

    def _end(self, end, what):
        if end is None:
            raise NonRecoverableError(f"{what} does not exist in a {self.type} context")
        return end


def _stdout_logger():
    from cloudify.utils import setup_logger

    return setup_logger("mock-cloudify-context", logging.DEBUG)
