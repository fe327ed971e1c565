"""The model of `secrets` under the module name that plugins import."""

from cloudify_rest_client.models import Secret

__all__ = ["Secret"]
