"""The model of `deployments` under the module name that plugins import."""

from cloudify_rest_client.models import Deployment

__all__ = ["Deployment"]
