"""Where the operations of the built-in plugin `agent` are: blueprints name them as the ecosystem's types do.

Those of the installer run on the central agent, in the environment that Outrider's own manager runs in; those of the
host run on its agent. Named by text, because a dispatcher imports neither.
"""

from __future__ import annotations

from outrider.dispatcher.errors import OperationRefused
from outrider.messaging.messages import PluginRef

PLUGIN = "agent"
_INSTALLER = "outrider.installer.plugin.operations"
_HOST = "outrider.plugins.host.operations"

#: As in `blueprint/types/types.yaml` → the function behind it.
_FUNCTIONS = {
    "cloudify_agent.installer.operations.create": f"{_INSTALLER}.create",
    "cloudify_agent.installer.operations.configure": f"{_INSTALLER}.configure",
    "cloudify_agent.installer.operations.start": f"{_INSTALLER}.start",
    "cloudify_agent.installer.operations.stop": f"{_INSTALLER}.stop",
    "cloudify_agent.installer.operations.delete": f"{_INSTALLER}.delete",
    "cloudify_agent.installer.operations.restart": f"{_INSTALLER}.restart",
    "cloudify_agent.operations.create_agent_amqp": f"{_INSTALLER}.renew",
    "cloudify_agent.operations.validate_agent_amqp": f"{_INSTALLER}.validate",
    "cloudify_agent.operations.stop": f"{_HOST}.stop",
    "cloudify_agent.operations.restart": f"{_HOST}.restart",
    "cloudify_agent.operations.install_plugins": f"{_HOST}.install_plugins",
    "cloudify_agent.operations.uninstall_plugins": f"{_HOST}.uninstall_plugins",
}


def function_of(plugin: PluginRef, operation: str) -> str:
    """Return ``module.function`` of an operation of a plugin; raises `OperationRefused` for one that is not there."""
    if not plugin.builtin or plugin.name != PLUGIN:
        return operation
    found = _FUNCTIONS.get(operation)
    if found is None:
        raise OperationRefused(
            f"the built-in plugin {PLUGIN!r} has no operation {operation!r}; it has {', '.join(sorted(_FUNCTIONS))}"
        )
    return found


def is_installers(plugin: PluginRef, function: str) -> bool:
    """Tell whether `function_of` found one of the installer's operations."""
    return plugin.builtin and plugin.name == PLUGIN and function.startswith(f"{_INSTALLER}.")
