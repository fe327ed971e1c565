"""The model of `node_instances` under the module name that plugins import."""

from outrider_facade import further_names

from cloudify_rest_client.models import NodeInstance

__getattr__ = further_names(__name__)

__all__ = ["NodeInstance"]
