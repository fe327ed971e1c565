"""The model of `sites` under the module name that plugins import."""

from cloudify_rest_client.models import Site

__all__ = ["Site"]
