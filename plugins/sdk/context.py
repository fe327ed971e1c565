"""`ctx`: what an operation knows of where it runs. Built from the task's JSON by `execute` and by the test harness.

Everything travelled with the task: reading `ctx` never calls home, except for resources (fetched on demand by the
agent) and `instance.refresh`.
"""

from __future__ import annotations

from outrider.plugins.sdk.errors import NonRecoverableError, OperationRetry
from outrider.plugins.sdk.instance import Instance, Node
from outrider.plugins.sdk.properties import ReadOnlyProperties

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping
    from typing import Any, NoReturn, Optional

    from outrider.plugins.sdk.channel import Channel
    from outrider.plugins.sdk.resources import Resources


class RelationshipEnd:
    """One end of the relationship that a relationship operation works on; its runtime properties can be changed."""

    def __init__(self, data: Mapping[str, Any], channel: Channel) -> None:
        self.node = _node(data)
        self.instance = Instance(data, channel)


class Operation:
    """The operation call itself."""

    def __init__(self, *, name: str, retry_number: int, max_retries: int, relationship: Optional[str]) -> None:
        #: The full name in the interface, such as ``cloudify.interfaces.lifecycle.create``.
        self.name = name
        #: 0 at the first try.
        self.retry_number = retry_number
        #: -1 = without limit.
        self.max_retries = max_retries
        #: ``source`` or ``target``: the side of the relationship that executes; None in node operations.
        self.relationship = relationship
        self.pending_retry: Optional[OperationRetry] = None

    def retry(self, message: Optional[str] = None, retry_after: Optional[float] = None) -> None:
        """Ask to be called again after `retry_after` seconds (None: the dispatcher's setting).

        Takes effect when the operation returns; its return value is then ignored. Use it as
        ``return ctx.operation.retry("still booting", retry_after=10)``.
        """
        self.pending_retry = OperationRetry(message or "", retry_after=retry_after)


class Deployment:
    """The deployment that the operation belongs to."""

    def __init__(self, *, deployment_id: str, tenant: str, details: Mapping[str, Any]) -> None:
        self.id = deployment_id
        self.tenant_name = tenant
        self.display_name: str = details.get("display_name") or deployment_id
        self.creator: Optional[str] = details.get("creator")
        self.resource_tags: Optional[dict[str, Any]] = details.get("resource_tags")
        self.runtime_only_evaluation: bool = bool(details.get("runtime_only_evaluation"))


class Blueprint:
    """The blueprint that the deployment was made from."""

    def __init__(self, blueprint_id: str) -> None:
        self.id = blueprint_id


class Workflow:
    """The workflow that called the operation."""

    def __init__(self, *, name: str, parameters: Mapping[str, Any]) -> None:
        self.name = name
        self.parameters: dict[str, Any] = ReadOnlyProperties(parameters)


class Plugin(str):
    """The plugin that the operation lives in. A text (its name), because existing plugins use it as one."""

    name: str
    version: str
    properties: dict[str, Any]
    prefix: str

    def __new__(cls, name: str, version: str, details: Mapping[str, Any]) -> Plugin:
        """Make the text, and hang the details of the blueprint's plugin entry on it."""
        plugin = super().__new__(cls, name)
        plugin.name = name
        plugin.version = version
        plugin.package_name = details.get("package_name")
        plugin.package_version = details.get("package_version") or version or None
        plugin.source = details.get("source")
        plugin.properties = dict(details.get("properties") or {})
        plugin.prefix = _environment_prefix()
        return plugin

    package_name: Optional[str]
    package_version: Optional[str]
    source: Optional[str]


class Context:
    """What `ctx` stands for during one attempt. Plugins may hang attributes of their own on it."""

    #: Tells the facade, which would have to import this module to ask isinstance, what it was given.
    is_sdk_context = True

    def __init__(self, task: Mapping[str, Any], channel: Channel) -> None:
        #: The task in its JSON form, for interfaces that show more of it than this one.
        self.task = task
        self.channel = channel
        data = task["context"]
        self._data = data
        self.task_id: str = task["task_id"]
        self.attempt_id: str = task["attempt_id"]
        self.execution_id: str = task["execution_id"]
        self.tenant: str = data.get("tenant") or "default_tenant"
        self.timeout_seconds: Optional[float] = task.get("timeout_seconds")
        self.resumed = bool(task.get("resumed"))
        #: Whether the call is that of a plugin's workflow function, not of an operation.
        self.is_workflow = bool((data.get("extras") or {}).get("workflow"))
        self.operation = Operation(
            name=data["operation"],
            retry_number=data.get("retry_number") or 0,
            max_retries=data.get("max_retries", -1),
            relationship=data.get("relationship_side"),
        )
        self.deployment = Deployment(
            deployment_id=data["deployment"],
            tenant=self.tenant,
            details=data.get("deployment_details") or {},
        )
        self.blueprint = Blueprint(data["blueprint"])
        self.workflow = Workflow(name=data["workflow"], parameters=data.get("workflow_parameters") or {})
        plugin = task.get("plugin") or {}
        self.plugin = Plugin(plugin.get("name", ""), plugin.get("version", ""), plugin.get("details") or {})
        self._node = _node(data["node"]) if data.get("node") else None
        self._instance = Instance(data["node"], channel) if data.get("node") else None
        self._source = RelationshipEnd(data["source"], channel) if data.get("source") else None
        self._target = RelationshipEnd(data["target"], channel) if data.get("target") else None
        self._logger: Optional[logging.Logger] = None
        self._resources: Optional[Resources] = None

    def __repr__(self) -> str:
        return f"<{self.operation.name} of {self._subject()}>"

    @property
    def type(self) -> str:
        """``node-instance``, ``relationship-instance`` or ``deployment``: what the operation works on."""
        if self._source is not None:
            return "relationship-instance"
        return "deployment" if self._node is None else "node-instance"

    @property
    def node(self) -> Node:
        """The node, in node operations; NonRecoverableError in others."""
        return self._node if self._node is not None else self._not_here("node", "ctx.source.node or ctx.target.node")

    @property
    def instance(self) -> Instance:
        """The instance, in node operations; NonRecoverableError in others."""
        if self._instance is None:
            self._not_here("instance", "ctx.source.instance or ctx.target.instance")
        return self._instance

    @property
    def source(self) -> RelationshipEnd:
        """The relationship's source, in relationship operations; NonRecoverableError in others."""
        return self._source if self._source is not None else self._not_here("source", "ctx.node and ctx.instance")

    @property
    def target(self) -> RelationshipEnd:
        """The relationship's target, in relationship operations; NonRecoverableError in others."""
        return self._target if self._target is not None else self._not_here("target", "ctx.node and ctx.instance")

    @property
    def logger(self) -> logging.Logger:
        """A standard logger whose records go to the execution's log."""
        if self._logger is None:
            from outrider.plugins.sdk.logs import operation_logger  # see the reason there

            self._logger = operation_logger(f"ctx.{self.task_id}", self.channel)
        return self._logger

    @logger.setter
    def logger(self, logger: logging.Logger) -> None:
        self._logger = logger

    @property
    def resources(self) -> Resources:
        """The files of the blueprint's folder."""
        if self._resources is None:
            from outrider.plugins.sdk.resources import Resources  # most operations need none, and shutil is slow

            self._resources = Resources(self.channel)
        return self._resources

    @property
    def work_dir(self) -> str:
        """A scratch folder of this attempt; it is removed afterwards."""
        return self.channel.work_dir

    @property
    def extras(self) -> dict[str, Any]:
        """Further settings that travelled with the task (bootstrap context …)."""
        return dict(self._data.get("extras") or {})

    def send_event(self, message: str) -> None:
        """Show a message among the execution's events."""
        self.channel.event(event_type="plugin_event", message=message)

    def get_resource(self, path: str) -> bytes:
        """Return a blueprint resource's content. Raises `ResourceNotFound`."""
        return self.resources.read(path)

    def download_resource(self, path: str, target_path: Optional[str] = None) -> str:
        """Copy a blueprint resource to `target_path`, or into a new folder; return the copy's path."""
        return self.resources.copy(path, target_path)

    def download_directory(self, path: str, target_path: Optional[str] = None) -> str:
        """Copy a folder of the blueprint into `target_path`, or a new folder; return that folder."""
        return self.resources.copy_folder(path, target_path)

    def get_resource_and_render(self, path: str, template_variables: Optional[Mapping[str, Any]] = None) -> bytes:
        """Return a template resource's content, rendered with the variables and `ctx`. Raises `RenderError`."""
        return self.resources.render(path, self._template_variables(template_variables))

    def download_resource_and_render(
        self,
        path: str,
        target_path: Optional[str] = None,
        template_variables: Optional[Mapping[str, Any]] = None,
    ) -> str:
        """Write a rendered template resource to `target_path`, or into a new folder; return the file's path."""
        content = self.get_resource_and_render(path, template_variables)
        return self.resources.write(content, path, target_path)

    def modifiable_instances(self) -> list[Instance]:
        """Return the instances whose runtime properties this operation may change."""
        if self._source is not None and self._target is not None:
            return [self._source.instance, self._target.instance]
        return [] if self._instance is None else [self._instance]

    def close(self) -> None:
        """Stop forwarding log records."""
        if self._logger is not None:
            from outrider.plugins.sdk.logs import detach

            detach(self._logger)

    def _template_variables(self, given: Optional[Mapping[str, Any]]) -> dict[str, Any]:
        if given and "ctx" in given:
            raise NonRecoverableError("template variables cannot contain 'ctx': it is given to every template")
        return {**(given or {}), "ctx": self}

    def _subject(self) -> str:
        if self._source is not None and self._target is not None:
            return f"{self._source.instance.id} -> {self._target.instance.id}"
        return self.deployment.id if self._instance is None else self._instance.id

    def _not_here(self, name: str, instead: str) -> NoReturn:
        hint = f": use {instead}" if self.type != "deployment" else ""
        raise NonRecoverableError(f"ctx.{name} does not exist in a {self.type} operation{hint}")


def _node(data: Mapping[str, Any]) -> Node:
    return Node(
        name=data["node"],
        type=data["type"],
        type_hierarchy=list(data.get("type_hierarchy") or [data["type"]]),
        properties=data.get("properties") or {},
    )


def _environment_prefix() -> str:
    import sys

    return sys.prefix
