"""The model of `plugins` under the module name that plugins import."""

from cloudify_rest_client.models import Plugin

__all__ = ["Plugin"]
