"""The model of `deployment_updates` under the module name that plugins import."""

from cloudify_rest_client.models import DeploymentUpdate

__all__ = ["DeploymentUpdate"]
