"""`WorkflowContext`: what ``ctx`` is inside a plugin's workflow function."""

from importlib import import_module

from cloudify.context import BootstrapContext
from cloudify.state import AttributeDict

from outrider.plugins.sdk.errors import NonRecoverableError
from outrider_facade.workflow.following import Following
from outrider_facade.workflow.graph import TaskDependencyGraph, WorkflowTask
from outrider_facade.workflow.manager_calls import ManagerCalls
from outrider_facade.workflow.modification import Modifications
from outrider_facade.workflow.subjects import WorkflowNode, WorkflowNodeInstance
from outrider_facade.workflow.talk import Talk

#: Parts of the interface that the dispatcher has no counterpart for yet; they say so by name.
_NOT_PROVIDED = frozenset({"get_operations", "update_operation", "store_operation"})


class WorkflowContext(ManagerCalls):
    """The deployment, and the means to act on it."""

    def __init__(self, sdk_context):
        self._sdk = sdk_context
        self.talk = Talk(sdk_context.channel)
        self.following = Following(self, self.talk)
        self.internal = WorkflowInternals(self)
        self.deployment = WorkflowDeployment(self)
        self.blueprint = sdk_context.blueprint
        self.execution_id = sdk_context.execution_id
        self.workflow_id = sdk_context.workflow.name
        self.tenant_name = sdk_context.tenant
        self.tenant = {"name": sdk_context.tenant}
        self.local = False
        self.resume = sdk_context.resumed
        #: Whether the instances may have changed since the last look.
        self.stale = False
        self._nodes = None
        self._instances = {}
        self._scaling_groups = {}
        self._settings = {}

    def __getattr__(self, name):
        if name in _NOT_PROVIDED:
            raise NonRecoverableError(f"ctx.{name} of workflows is not provided by Outrider's cloudify interface")
        raise AttributeError(f"the workflow context has no attribute {name!r}")

    # What the workflow runs in

    @property
    def logger(self):
        """A logger whose records go to the execution's log."""
        return self._sdk.logger

    @property
    def work_dir(self):
        """A scratch folder of this attempt."""
        return self._sdk.work_dir

    @property
    def workflow_parameters(self):
        """The parameters that the execution was started with."""
        return self._sdk.workflow.parameters

    @property
    def wait_after_fail(self):
        """For how many seconds what runs may go on after a task has failed."""
        return self._setting("wait_after_fail_seconds")

    @property
    def dry_run(self):
        """Whether nothing is to be done in earnest."""
        return self._setting("dry_run")

    def get_resource(self, path):
        """Return a blueprint resource's content."""
        return self._sdk.get_resource(path)

    def download_resource(self, path, target_path=None):
        """Copy a blueprint resource; return the copy's path."""
        return self._sdk.download_resource(path, target_path)

    # The deployment

    @property
    def nodes(self):
        """The nodes."""
        self._look()
        return iter(self._nodes.values())

    @property
    def node_instances(self):
        """The instances, as they are now."""
        self._look()
        return iter(list(self._instances.values()))

    def get_node(self, node_id):
        """Return a node, None if there is none of this name."""
        self._look()
        return self._nodes.get(node_id)

    def get_node_instance(self, node_instance_id):
        """Return an instance, None if there is none of this id."""
        self._look()
        return self._instances.get(node_instance_id)

    def refresh_node_instances(self):
        """Look at the instances anew."""
        self.stale = True
        self._look()

    def forget(self):
        """Look at everything anew, the nodes' numbers included, when it is needed next."""
        self._nodes, self.stale = None, True

    def update_node_instance(self, node_instance):
        """Store the runtime properties that were changed in this process; refused if somebody wrote them since."""
        fields = {"instance": node_instance.id, "version": node_instance.version}
        self.talk.ask("properties", properties=dict(node_instance.runtime_properties), **fields)
        self.stale = True

    def get_execution(self, execution_id=None):
        """Return this execution (id, status, workflow_id, deployment_id, parameters, is_dry_run), or another one."""
        if execution_id not in (None, self.execution_id):
            return self._other_execution(execution_id)
        return AttributeDict(self.talk.ask("execution"))

    def list_nodes(self):
        """Return the nodes as a list."""
        return list(self.nodes)

    def update_execution_status(self, new_status):
        """Show how far the workflow says that it is. The execution's status itself is the dispatcher's to set."""
        self.talk.ask("event", message=f"Status: {new_status}", event_type="workflow_status")

    @property
    def bootstrap_context(self):
        """Settings of the installation; there are none that a workflow would have to know."""
        return BootstrapContext({})

    # What is done

    def graph_mode(self):
        """From now on calls make tasks, which the returned graph runs."""
        if self.internal.called:
            raise RuntimeError("graph_mode was asked for after tasks had run already")
        self.internal.graph_mode = True
        return self.internal.task_graph

    def send_event(self, event, event_type="workflow_stage", args=None, additional_context=None):  # noqa: ARG002
        """Show an event of the workflow."""
        if not self.internal.graph_mode:
            self.talk.ask("event", message=event, event_type=event_type)
        return WorkflowTask("event", {"kind": "event", "message": event}, info=event)

    def local_task(self, local_task, node=None, info=None, kwargs=None, task_id=None, name=None, **settings):  # noqa: ARG002
        """Have a function called in this process when its turn in the graph has come.

        `settings` (total_retries, retry_interval) go before those that `task_config` gave the function.
        """
        arguments = kwargs or {}
        named = name or getattr(local_task, "__name__", "local")
        task = WorkflowTask(named, {"kind": "local"}, info=info, function=lambda: local_task(**arguments))
        given = {**getattr(local_task, "workflow_task_config", {}), **settings}
        task.total_retries, task.retry_interval = given.get("total_retries"), given.get("retry_interval")
        return self.dispatch(task)

    def remote_task(self, kwargs, cloudify_context=None, task_id=None, **_settings):  # noqa: ARG002
        """Run the operation of a node instance that a context names; see `execute_task`."""
        context = cloudify_context or kwargs.get("__cloudify_context") or {}
        given = {name: value for name, value in kwargs.items() if name != "__cloudify_context"}
        instance = self.get_node_instance(context.get("node_id"))
        operation = (context.get("operation") or {}).get("name")
        if instance is None or operation is None:
            raise NonRecoverableError(
                "a remote task names the node instance (node_id) and the operation ({'name': …}) that it runs: the "
                "dispatcher runs operations of the blueprint, nothing else"
            )
        return instance.execute_operation(operation, kwargs=given, allow_kwargs_override=True)

    def execute_task(
        self, task_name, local=True, task_queue=None, task_target=None, kwargs=None, node_context=None, **settings
    ):  # noqa: ARG002
        """Call a function of an importable module here, or run the operation that `node_context` names."""
        if not local or node_context:
            return self.remote_task(kwargs or {}, node_context)
        module, _, function = task_name.rpartition(".")
        return self.local_task(getattr(import_module(module), function), kwargs=kwargs, name=task_name, **settings)

    def dispatch(self, task):
        """Return the task in graph mode; otherwise run it now, and return its result."""
        if self.internal.graph_mode:
            return task
        self.internal.called = True
        return self.following.call(task)

    def get_tasks_graph(self, name):  # noqa: ARG002 - the interface's argument
        """Return None: a graph is built again, and the dispatcher goes on with the one that it has of that name."""
        return

    def finish(self):
        """Wait for what the function did not wait for itself."""
        self.following.finish()

    def _setting(self, name):
        self._look()
        return self._settings[name]

    def _look(self):
        if self._nodes is not None and not self.stale:
            return
        found = self.talk.ask("view", nodes=self._nodes is None)
        self.stale = False
        if self._nodes is None:
            self._nodes = {each["id"]: WorkflowNode(self, each) for each in found["nodes"]}
            self._scaling_groups = found["scaling_groups"]
        self._settings = found
        before, self._instances = self._instances, {}
        for record in found["instances"]:
            instance = before.get(record["id"]) or WorkflowNodeInstance(self, record)
            instance.take(record)
            self._instances[instance.id] = instance


class WorkflowInternals:
    """``ctx.internal``: a few semi-private parts that plugins use."""

    def __init__(self, ctx):
        self._ctx = ctx
        self.graph_mode = False
        #: Whether something ran outside of graph mode.
        self.called = False
        self.task_graph = TaskDependencyGraph(ctx)

    def __getattr__(self, name):
        raise AttributeError(f"ctx.internal.{name} is not provided by Outrider's cloudify interface")

    @property
    def bootstrap_context(self):
        """Settings of the installation."""
        return self._ctx.bootstrap_context

    def get_task_configuration(self):
        """Return how often and after how many seconds tasks are tried again that do not say it themselves."""
        config = self._ctx._setting("config")
        return {"total_retries": config["task_retries"], "retry_interval": config["task_retry_interval"]}

    def send_workflow_event(self, event_type, message=None, args=None, additional_context=None):  # noqa: ARG002
        """Show an event of the workflow."""
        self._ctx.talk.ask("event", message=message or "", event_type=event_type)


class WorkflowDeployment:
    """``ctx.deployment``."""

    def __init__(self, ctx):
        self._ctx = ctx
        self._modifications = Modifications(ctx)
        self.id = ctx._sdk.deployment.id

    @property
    def scaling_groups(self):
        """The scaling groups of the plan."""
        self._ctx._look()
        return self._ctx._scaling_groups

    def start_modification(self, nodes):
        """Begin to change the numbers of instances: ``{name: {"instances": 3, …}}``. Returns a `Modification`."""
        return self._modifications.start(nodes)

    def list_started_modifications(self):
        """Return the modifications that are neither finished nor rolled back."""
        return self._modifications.started()
