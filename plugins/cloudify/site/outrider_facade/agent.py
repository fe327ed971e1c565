"""``ctx.agent``: how a new host gets its agent."""

from cloudify.exceptions import NonRecoverableError


class AgentContext:
    """Ways to bring an agent onto the host that the operation creates."""

    def __init__(self, ctx):
        self._ctx = ctx

    def init_script(self, agent_config=None):
        """Return the script for the host's user data.

        None for install methods where no script on the host brings the agent, and where the workflow gave none.
        """
        from cloudify.utils import internal

        if "cloudify.nodes.Compute" not in self._ctx.node.type_hierarchy:
            raise NonRecoverableError(f"ctx.agent.init_script() needs a compute node; {self._ctx.node.id} is none")
        method = internal.get_install_method(
            {**self._ctx.node.properties, **({"agent_config": agent_config} if agent_config else {})}
        )
        if method not in ("init_script", "provided", "plugin"):
            return None
        return self._ctx._sdk.extras.get("agent_init_script") if self._ctx._sdk is not None else None

    def install_script_download_link(self, agent_config=None):
        """Refuse: the script travels with the task."""
        raise NonRecoverableError(
            "ctx.agent.install_script_download_link() is not provided: use ctx.agent.init_script()"
        )
