"""The model of `blueprints` under the module name that plugins import."""

from cloudify_rest_client.models import Blueprint

__all__ = ["Blueprint"]
