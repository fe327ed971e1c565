"""How rows are written on the wire, one module per group of nouns; all of the form `resource.Shape`."""

from outrider.manager_stub.shapes.agents import agents
from outrider.manager_stub.shapes.blueprints import blueprints
from outrider.manager_stub.shapes.deployments import deployment_updates, deployments
from outrider.manager_stub.shapes.events import events
from outrider.manager_stub.shapes.executions import executions
from outrider.manager_stub.shapes.nodes import node_instances, nodes
from outrider.manager_stub.shapes.plugins import plugins
from outrider.manager_stub.shapes.secrets import secrets

__all__ = [
    "agents",
    "blueprints",
    "deployment_updates",
    "deployments",
    "events",
    "executions",
    "node_instances",
    "nodes",
    "plugins",
    "secrets",
]
