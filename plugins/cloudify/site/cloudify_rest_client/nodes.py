"""The model of `nodes` under the module name that plugins import."""

from cloudify_rest_client.models import Node

__all__ = ["Node"]
