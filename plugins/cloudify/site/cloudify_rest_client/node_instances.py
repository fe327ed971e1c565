"""The model of `node_instances` under the module name that plugins import."""

from cloudify_rest_client.models import NodeInstance

__all__ = ["NodeInstance"]
