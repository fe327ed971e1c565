"""Every name of the compatible interface that existing plugins and their tests use, and whether it is there.

A line is ``rank owner: names``. The rank says how much it is used: must, should, rare. A name with ``!`` is not
provided on purpose: using it fails with an error that names it. Owners are modules, ``module:Class``, or what `check`
makes. Run as a program, by a bare interpreter whose path holds nothing but what an agent gives to plugins' processes,
it prints what does not hold.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

TABLE = """
must cloudify: ctx
must cloudify.exceptions: NonRecoverableError OperationRetry RecoverableError
should cloudify.exceptions: HttpException StopAgent WorkflowFailed
rare cloudify.exceptions: CommandExecutionError CommandExecutionException CloudifySerializationRetry
must cloudify.decorators: operation workflow
rare cloudify.decorators: serial_operation
must cloudify.utils: exception_to_error_cause
should cloudify.utils: id_generator get_tenant_name LocalCommandRunner _get_current_context ENV_CFY_EXEC_TEMPDIR
should cloudify.utils: CFY_EXEC_TEMPDIR_ENVVAR internal get_manager_rest_service_host get_manager_rest_service_port
should cloudify.utils: get_local_rest_certificate get_execution_token get_rest_token
should cloudify.utils:internal: get_install_method get_broker_ssl_options
must cloudify.state: ctx ctx_parameters current_ctx workflow_ctx workflow_parameters
must cloudify.state:current_ctx: set clear push get_ctx get_parameters
must cloudify.manager: get_rest_client DirtyTrackingDict
should cloudify.manager: get_node_instance update_node_instance get_resource download_resource get_bootstrap_context
must cloudify.constants: NODE_INSTANCE RELATIONSHIP_INSTANCE DEPLOYMENT
should cloudify.constants: COMPUTE_NODE_TYPE AGENT_INSTALL_METHODS_SCRIPTS AGENT_INSTALL_METHOD_NONE BROKER_PORT_SSL
should cloudify.constants: CLUSTER_SETTINGS_PATH_KEY COMPONENT SHARED_RESOURCE
rare cloudify.constants: TERMINATED_STATES TASK_PENDING TASK_SUCCEEDED TASK_FAILED MANAGER_NAME BYPASS_MAINTENANCE
rare cloudify.constants: CLOUDIFY_EXECUTION_TOKEN_HEADER LOCAL_RESOURCES_ROOT_ENV_KEY
should cloudify.context: CloudifyContext NodeContext NODE_INSTANCE RELATIONSHIP_INSTANCE DEPLOYMENT
should cloudify.compute: create_multi_mimetype_userdata
rare cloudify.logs: init_cloudify_logger
should cloudify.conflict_handlers: simple_merge_handler
must cloudify.proxy.client: ScriptException CTX_SOCKET_URL client_req
must cloudify.proxy.server: HTTPCtxProxy
must script_runner.tasks: run execute_workflow ProcessException ILLEGAL_CTX_OPERATION_ERROR POLL_LOOP_INTERVAL
must script_runner.tasks: UNSUPPORTED_SCRIPT_FEATURE_ERROR POLL_LOOP_LOG_ITERATIONS _get_process_environment
must script_runner.tasks: process_ctx_request start_ctx_proxy
should dsl_parser.constants: HOST_AGENT CENTRAL_DEPLOYMENT_AGENT

must current: logger instance node type operation deployment blueprint workflow_id execution_id tenant_name tenant
must current: plugin
must current: download_resource download_resource_and_render get_resource _context
should current: get_resource_and_render download_directory agent bootstrap_context task_id task_name task_target
should current: task_queue
should current: rest_host rest_port rest_token rest_ssl_cert execution_token bypass_maintenance timeout
should current: timeout_recoverable execution_env resume execution_creator_username workflow_parameters task_type
should current: send_event
rare current: provider_context capabilities _local !get_managers !get_brokers
rare current: !_endpoint !get_execution !get_operation !update_operation !upload_deployment_file !delete_deployment_file
rare current: !upload_deployment_workdir !download_deployment_workdir !sync_deployment_workdir
must current.instance: id runtime_properties relationships host_ip update refresh
rare current.instance: index scaling_groups drift _node_instance _get_node_instance_if_needed
rare current.instance._node_instance: host_id
must current.instance.runtime_properties: _set_changed dirty modifiable update clear pop popitem setdefault copy
must current.node: id name properties type type_hierarchy
must current.operation: name retry_number retry
should current.operation: max_retries relationship
must current.deployment: id
should current.deployment: tenant_name display_name creator resource_tags runtime_only_evaluation
must current.blueprint: id
must current.plugin: name package_name package_version source properties prefix workdir
should current.agent: init_script !install_script_download_link
should current.bootstrap_context: cloudify_agent policy_engine resources_prefix !broker_config
must related: source target
must related.source: node instance
should related.source: _context

must cloudify_rest_client: CloudifyClient
should cloudify_rest_client.client: CloudifyClient
must cloudify_rest_client.exceptions: CloudifyClientError
should cloudify_rest_client.exceptions: DeploymentEnvironmentCreationInProgressError
should cloudify_rest_client.exceptions: DeploymentEnvironmentCreationPendingError
rare cloudify_rest_client.constants: VisibilityState
rare cloudify_rest_client.responses: ListResponse
rare cloudify_rest_client.secrets: Secret
must client.node_instances: list get update
must client.secrets: create get update delete list patch
must client.deployments: get create list update_labels set_site outputs capabilities
must client.executions: start get list
must client.nodes: get list
should client.deployment_groups: put add_deployments get
should client.execution_groups: start
should client.sites: create get update
should client.deployment_updates: get list
should client.blueprints: get list _upload
should client.plugins: upload delete list
should client.events: get
should client.manager: get_version get_status get_config
should client.tenants: get
should client.evaluate: functions
rare client: !operations !tasks_graphs !inter_deployment_dependencies
rare client.manager: !get_managers !get_brokers !get_context

must cloudify.workflows: ctx parameters workflow_parameters
should workflow: nodes node_instances get_node get_node_instance refresh_node_instances graph_mode send_event
should workflow: execute_task local_task remote_task get_execution update_node_instance download_resource
should workflow: deployment internal wait_after_fail dry_run resume local logger workflow_id execution_id tenant_name
rare workflow: update_execution_status get_secret start_execution list_nodes
should workflow.deployment: start_modification list_started_modifications scaling_groups
should workflow.internal: graph_mode task_graph send_workflow_event
rare workflow.internal: !handler get_task_configuration bootstrap_context !local_tasks_processor
should outrider_facade.workflow.subjects:WorkflowNode: id type type_hierarchy properties plugins plugins_to_install
should outrider_facade.workflow.subjects:WorkflowNode: host_id host_node number_of_instances relationships operations
should outrider_facade.workflow.subjects:WorkflowNode: planned_number_of_instances instances has_operation
should outrider_facade.workflow.subjects:WorkflowNode: get_relationship
should outrider_facade.workflow.subjects:WorkflowNodeInstance: id node_id node state version relationships
should outrider_facade.workflow.subjects:WorkflowNodeInstance: contained_instances get_contained_subgraph logger
should outrider_facade.workflow.subjects:WorkflowNodeInstance: runtime_properties system_properties scaling_groups
should outrider_facade.workflow.subjects:WorkflowNodeInstance: set_state get_state send_event execute_operation
rare outrider_facade.workflow.subjects:WorkflowNodeInstance: _node_instance
should outrider_facade.workflow.subjects:WorkflowRelationshipInstance: execute_source_operation execute_target_operation
should graph: add_task get_task remove_task add_dependency remove_dependency sequence subgraph execute tasks linearize
should graph: optimize store tasks_iter
rare graph: !restore _is_execution_cancelled !_finished_tasks !_handle_terminated_task !_dependents
should task: id name info on_success on_failure total_retries retry_interval get_state set_state is_nop cloudify_context
should task: async_result
should subgraph: on_failure on_success info failed_task containing_subgraph sequence subgraph add_task tasks
should outrider_facade.workflow.graph:TaskSequence: add
should cloudify.workflows.tasks: HandlerResult task_config TASK_SUCCEEDED TASK_FAILED TASK_PENDING TASK_RESCHEDULED
should cloudify.workflows.tasks:HandlerResult: retry fail cont ignore
should cloudify.workflows.tasks_graph: make_or_get_graph forkjoin TaskDependencyGraph
should cloudify.workflows.workflow_context: CloudifyWorkflowContext task_config
should cloudify.workflows.api: has_cancel_request has_kill_request ExecutionCancelled EXECUTION_CANCELLED_RESULT
should cloudify.workflows.api: cancel_callbacks
should cloudify.plugins.lifecycle: install_node_instances uninstall_node_instances reinstall_node_instances
should cloudify.plugins.lifecycle: heal_node_instances update_node_instances rollback_node_instances is_host_node
should cloudify.plugins.lifecycle: execute_establish_relationships execute_unlink_relationships LifecycleProcessor
should cloudify.plugins.lifecycle: install_node_instance_subgraph uninstall_node_instance_subgraph
should cloudify.plugins.lifecycle: set_send_node_event_on_error_handler
rare cloudify.plugins.lifecycle: plugins_install_task reinstall_node_instance_subgraph
should cloudify.plugins.workflows: execute_operation
rare cloudify_types.component.polling: poll_with_timeout
rare cloudify_types.shared_resource: __path__

must cloudify.mocks: MockCloudifyContext MockNodeContext MockNodeInstanceContext MockRelationshipContext MockContext
must cloudify.mocks: MockRelationshipSubjectContext
must mock: _operation _runtime_properties _relationships _node _resources _context _execution_id _source
must mock._node: _type
rare cloudify.workflows.local: !init_env !load_env
rare cloudify.test_utils: workflow_test
rare cloudify.test_utils.dispatch_helper: run
"""


def lines() -> list[tuple[str, str, list[str]]]:
    """Return (rank, owner, names) of each line."""
    found = []
    for line in filter(None, TABLE.splitlines()):
        place, _, names = line.rpartition(": ")
        rank, _, owner = place.partition(" ")
        found.append((rank, owner, names.split()))
    return found


def check() -> list[str]:
    """Return what does not hold."""
    from outrider.plugins.sdk.testing import instance_data, made_up_context

    ends = {"source": instance_data(node="a"), "target": instance_data(node="b")}
    failures = []
    for rank, owner, names in lines():
        subjects: dict[str, Any] = ends if owner.startswith("related") else {}
        with made_up_context(**subjects):
            try:
                found = _owner(owner)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
                failures.append(f"{rank} {owner}: {error!r}")
                continue
            failures += [f"{rank} {owner}.{name}: {problem}" for name in names if (problem := _problem(found, name))]
    return failures


def _owner(path: str) -> Any:
    start, _, rest = path.partition(".")
    maker = _MAKERS.get(start)
    if maker is not None:
        found = maker()
        for name in filter(None, rest.split(".")):
            found = getattr(found, name)
        return found
    module, _, name = path.partition(":")
    return getattr(import_module(module), name) if name else import_module(module)


def _problem(owner: Any, name: str) -> str:
    if not name.startswith("!"):
        # In `dir` first: reading a property of a workflow asks the dispatcher.
        return "" if name in dir(owner) or hasattr(owner, name) else "is missing"
    try:
        getattr(owner, name[1:])()
    except Exception as error:  # noqa: BLE001 - which one is up to the interface
        return "" if name[1:] in str(error) else f"the error does not name it: {error!r}"
    return "is there"


def _current() -> Any:
    return import_module("cloudify.state").current_ctx.get_ctx()


def _workflow() -> Any:
    return import_module("outrider_facade.workflow.context").WorkflowContext(_current()._sdk)


def _made(module: str, name: str, *arguments: Any) -> Any:
    return getattr(import_module(module), name)(*arguments)


_GRAPH = "outrider_facade.workflow.graph"
_MAKERS: dict[str, Callable[[], Any]] = {
    "current": _current,
    "related": _current,
    "client": lambda: _made("cloudify_rest_client", "CloudifyClient"),
    "workflow": _workflow,
    "graph": lambda: _workflow().internal.task_graph,
    "task": lambda: _made(_GRAPH, "WorkflowTask", "task", {"kind": "event"}),
    "subgraph": lambda: _made(_GRAPH, "SubgraphTask", "subgraph"),
    "mock": lambda: _made("cloudify.mocks", "MockCloudifyContext"),
}

if __name__ == "__main__":
    sys.stdout.write("".join(f"{each}\n" for each in check()))
