"""`CloudifyContext`: what `ctx` is for existing plugins.

A context is made from a raw context dict. `CloudifyContext.of` makes one for an operation of Outrider: then its node,
instance, logger and resources are those of the SDK's context, and both can be used side by side. Without that (a test
that makes one from a dict) the parts that would need a manager raise.
"""

from outrider_facade import missing_from
from outrider_facade.operation import ContextCapabilities, ImmutableProperties, OperationContext, PluginContext
from outrider_facade.raw import raw_context
from outrider_facade.subjects import (
    NodeContext,
    NodeInstanceContext,
    RelationshipContext,
    RelationshipSubjectContext,
    SubjectSource,
)

from cloudify.constants import DEPLOYMENT, NODE_INSTANCE, RELATIONSHIP_INSTANCE
from cloudify.exceptions import NonRecoverableError

__getattr__ = missing_from(__name__)

__all__ = [
    "DEPLOYMENT",
    "NODE_INSTANCE",
    "RELATIONSHIP_INSTANCE",
    "BlueprintContext",
    "BootstrapContext",
    "CloudifyContext",
    "CommonContext",
    "ContextCapabilities",
    "DeploymentContext",
    "ImmutableProperties",
    "NodeContext",
    "NodeInstanceContext",
    "OperationContext",
    "PluginContext",
    "RelationshipContext",
    "RelationshipSubjectContext",
]


class EntityContext:
    """A part of the context that reads the raw dict."""

    def __init__(self, context, **_settings):
        self._context = context


class BlueprintContext(EntityContext):
    """The blueprint of the deployment."""

    @property
    def id(self):
        """Its id."""
        return self._context.get("blueprint_id")


class DeploymentContext(EntityContext):
    """The deployment."""

    @property
    def id(self):
        """Its id."""
        return self._context.get("deployment_id")

    @property
    def display_name(self):
        """Its name for people."""
        return self._context.get("deployment_display_name")

    @property
    def tenant_name(self):
        """The tenant that it belongs to."""
        return (self._context.get("tenant") or {}).get("name")

    @property
    def creator(self):
        """The user who made it."""
        return self._context.get("deployment_creator")

    @property
    def resource_tags(self):
        """Tags for the resources that it creates."""
        return self._context.get("deployment_resource_tags")

    @property
    def runtime_only_evaluation(self):
        """Whether functions are evaluated at each use."""
        return self._context.get("runtime_only_evaluation")


class BootstrapContext(dict):
    """Settings of the installation, as attributes."""

    class _Section(dict):
        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            return self.get(name)

    @property
    def cloudify_agent(self):
        """user, agent_key_path, remote_execution_port, min_workers, max_workers …; what is not set is None."""
        return self._Section(self.get("cloudify_agent") or {})

    @property
    def policy_engine(self):
        """start_timeout; None if not set."""
        return self._Section(self.get("policy_engine") or {})

    @property
    def resources_prefix(self):
        """A prefix for the names of resources."""
        return self.get("resources_prefix") or ""

    def broker_config(self, *_args, **_kwargs):
        """Refuse: an operation does not learn the broker's account."""
        raise NonRecoverableError(
            "ctx.bootstrap_context.broker_config() is not provided: operations have no broker account"
        )


class CommonContext:
    """What contexts of operations and workflows share."""

    def __init__(self, ctx=None):
        self._context = ctx or {}
        self._sdk = None
        self.blueprint = BlueprintContext(self._context)
        self.deployment = DeploymentContext(self._context)

    def _value(self, name, default=None):
        return self._context.get(name, default)


def _reading(name, text):
    """Return a property that reads one field of the raw context."""

    def read(self):
        return self._context.get(name)

    return property(read, doc=text)


def _of_manager(name, field, text):
    """Return a property that reads a field of the raw context, else asks for the way to the manager."""

    def read(self):
        from outrider_facade.manager_access import endpoint

        return self._context.get(name) or getattr(endpoint(self), field, None)

    return property(read, doc=text)


class CloudifyContext(CommonContext):
    """The context of an operation. Plugins may set attributes of their own on it."""

    task_id = _reading("task_id", "The id of the task.")
    task_name = _reading("task_name", "The dotted path of the operation's function.")
    task_target = _reading("task_target", "The queue that the task was sent to.")
    task_queue = _reading("task_queue", "The queue that the task was sent to.")
    task_type = _reading("type", "operation.")
    execution_id = _reading("execution_id", "The id of the execution.")
    workflow_id = _reading("workflow_id", "The name of the workflow.")
    workflow_parameters = _reading("workflow_parameters", "The parameters of the workflow.")
    execution_creator_username = _reading("execution_creator_username", "Who started the execution.")
    execution_token = _of_manager(
        "execution_token", "execution_token", "The token of the execution for the REST API, None without a manager."
    )
    bypass_maintenance = _reading("bypass_maintenance", "Whether REST calls go through in maintenance mode.")
    rest_token = _reading("rest_token", "The token for the REST API.")
    rest_host = _of_manager("rest_host", "host", "The address of the REST API, None without a manager.")
    rest_port = _of_manager("rest_port", "port", "The port of the REST API, None without a manager.")
    rest_ssl_cert = _of_manager("rest_ssl_cert", "cert", "The certificate of the REST API, None without a manager.")
    timeout = _reading("timeout", "The operation's time limit in seconds.")
    timeout_recoverable = _reading("timeout_recoverable", "Whether running out of time may be retried.")
    execution_env = _reading("execution_env", "Further environment variables.")
    resume = _reading("resume", "Whether the operation was interrupted before.")

    def __init__(self, ctx=None):
        super().__init__(ctx)
        self._subjects = None
        self._node = self._instance = self._source = self._target = None
        self._operation = OperationContext(self._context.get("operation") or {})
        self._plugin = None
        self._agent = None
        self._capabilities = None
        self._logger = None

    @classmethod
    def of(cls, sdk_context):
        """Return the view of an SDK context."""
        view = cls(raw_context(sdk_context.task))
        view._sdk = sdk_context
        view._operation = OperationContext(view._context["operation"], sdk_context.operation)
        view._subjects = SubjectSource(sdk_context, view._context)
        return view

    def __getattr__(self, name):
        # Reached for names that this class has not: what somebody hung on the SDK's context is here too.
        sdk = self.__dict__.get("_sdk")
        if sdk is not None and name in sdk.__dict__:
            return sdk.__dict__[name]
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(f"ctx.{name} is not provided by Outrider's cloudify interface")

    @property
    def _local(self):
        """Whether there is no manager whose REST API could be asked."""
        return bool(self._context.get("local"))

    @property
    def type(self):
        """What the operation works on: one of the constants of this module."""
        if self._context.get("related"):
            return RELATIONSHIP_INSTANCE
        return NODE_INSTANCE if self._context.get("node_id") else DEPLOYMENT

    @property
    def tenant(self):
        """The tenant."""
        return self._context.get("tenant", {})

    @property
    def tenant_name(self):
        """The tenant's name."""
        return (self._context.get("tenant") or {}).get("name")

    @property
    def node(self):
        """The node; in node operations."""
        self._verify_in_node_context("ctx.node")
        if self._node is None:
            self._node = self._need_subjects("ctx.node").node()
        return self._node

    @property
    def instance(self):
        """The node instance; in node operations."""
        self._verify_in_node_context("ctx.instance")
        if self._instance is None:
            self._instance = self._need_subjects("ctx.instance").instance()
        return self._instance

    @property
    def source(self):
        """The relationship's source; in relationship operations."""
        self._verify_in_relationship_context("ctx.source")
        if self._source is None:
            self._source = self._need_subjects("ctx.source").end("source")
        return self._source

    @property
    def target(self):
        """The relationship's target; in relationship operations."""
        self._verify_in_relationship_context("ctx.target")
        if self._target is None:
            self._target = self._need_subjects("ctx.target").end("target")
        return self._target

    @property
    def operation(self):
        """The operation call: name, retry_number, retry()."""
        return self._operation

    @property
    def plugin(self):
        """The plugin: its name as a text, with details as attributes."""
        if self._plugin is None:
            self._plugin = PluginContext(self._context.get("plugin") or {}, self._sdk)
        return self._plugin

    @property
    def capabilities(self):
        """The runtime properties of the relationships' targets; deprecated long ago."""
        if self._capabilities is None:
            self._capabilities = ContextCapabilities(self.instance)
        return self._capabilities

    @property
    def logger(self):
        """A standard logger whose records go to the execution's log."""
        if self._logger is None:
            self._logger = self._make_logger()
        return self._logger

    @logger.setter
    def logger(self, logger):
        self._logger = logger

    @property
    def work_dir(self):
        """A scratch folder of this attempt."""
        return None if self._sdk is None else self._sdk.work_dir

    @property
    def bootstrap_context(self):
        """Settings of the installation."""
        return BootstrapContext(self._extra("bootstrap_context"))

    @property
    def provider_context(self):
        """Settings that were stored for providers."""
        return self._extra("provider_context")

    @property
    def agent(self):
        """Ways to bring an agent onto a new host."""
        if self._agent is None:
            from outrider_facade.agent import AgentContext

            self._agent = AgentContext(self)
        return self._agent

    def send_event(self, event):
        """Show a message among the execution's events."""
        self._need_sdk("ctx.send_event").send_event(event)

    def get_managers(self, network="default"):
        """Refuse: agents of Outrider talk to a broker, not to managers."""
        raise NonRecoverableError(f"ctx.get_managers({network!r}) is not provided: there is no list of managers")

    def get_brokers(self, network="default"):
        """Refuse: operations have no broker account."""
        raise NonRecoverableError(f"ctx.get_brokers({network!r}) is not provided: operations have no broker account")

    def get_resource(self, resource_path):
        """Return a blueprint resource as bytes; HttpException 404 if there is none."""
        return self._resources().get(resource_path)

    def get_resource_and_render(self, resource_path, template_variables=None):
        """Return a rendered blueprint resource as bytes."""
        return self._resources().render(resource_path, template_variables)

    def download_resource(self, resource_path, target_path=None):
        """Copy a blueprint resource to `target_path` or into a new folder; return its path."""
        return self._resources().download(resource_path, target_path)

    def download_resource_and_render(self, resource_path, target_path=None, template_variables=None):
        """Write a rendered blueprint resource to `target_path` or into a new folder; return its path."""
        return self._resources().download_and_render(resource_path, target_path, template_variables)

    def download_directory(self, resource_path, target_path=None):
        """Copy a folder of the blueprint; return the copy's path."""
        return self._resources().download_directory(resource_path, target_path)

    def _resources(self):
        from outrider_facade.resources import FacadeResources

        return FacadeResources(self, self._need_sdk("blueprint resources"))

    def _extra(self, name):
        return {} if self._sdk is None else dict(self._sdk.extras.get(name) or {})

    def _make_logger(self):
        if self._sdk is not None:
            return self._sdk.logger
        import logging

        return logging.getLogger(f"ctx.{self._context.get('task_id') or 'task'}")

    def _need_sdk(self, what):
        if self._sdk is None:
            raise NonRecoverableError(f"{what} is not there: this context was made from a dict, not by an operation")
        return self._sdk

    def _need_subjects(self, what):
        self._need_sdk(what)
        return self._subjects

    # Tests of plugins replace these two.
    def _verify_in_node_context(self, what="ctx.node"):
        if self.type != NODE_INSTANCE:
            raise NonRecoverableError(f"{what} does not exist in a {self.type} context (see ctx.source and ctx.target)")

    def _verify_in_relationship_context(self, what="ctx.source"):
        if self.type != RELATIONSHIP_INSTANCE:
            raise NonRecoverableError(f"{what} does not exist in a {self.type} context (see ctx.node and ctx.instance)")
