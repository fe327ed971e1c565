"""Keys of plans that plugins read."""

from outrider_facade import further_names

__getattr__ = further_names(__name__)

PLUGIN_NAME_KEY = "name"
PLUGIN_EXECUTOR_KEY = "executor"
PLUGIN_SOURCE_KEY = "source"
PLUGIN_INSTALL_KEY = "install"
PLUGIN_INSTALL_ARGUMENTS_KEY = "install_arguments"
PLUGIN_PACKAGE_NAME = "package_name"
PLUGIN_PACKAGE_VERSION = "package_version"

HOST_AGENT = "host_agent"
CENTRAL_DEPLOYMENT_AGENT = "central_deployment_agent"
PLUGIN_EXECUTORS = [HOST_AGENT, CENTRAL_DEPLOYMENT_AGENT]

HOST_TYPE = "cloudify.nodes.Compute"
COMPUTE_NODE_TYPE = HOST_TYPE
ROOT_TYPE = "cloudify.nodes.Root"
CONTAINED_IN_REL_TYPE = "cloudify.relationships.contained_in"
CONNECTED_TO_REL_TYPE = "cloudify.relationships.connected_to"
DEPENDS_ON_REL_TYPE = "cloudify.relationships.depends_on"

DEPLOYMENT_PLUGINS_TO_INSTALL = "deployment_plugins_to_install"
WORKFLOW_PLUGINS_TO_INSTALL = "workflow_plugins_to_install"
HOST_AGENT_PLUGINS_TO_INSTALL = "host_agent_plugins_to_install"

NODES = "nodes"
OUTPUTS = "outputs"
INPUTS = "inputs"
CAPABILITIES = "capabilities"
