"""The model of `blueprints` under the module name that plugins import."""

from outrider_facade import further_names

from cloudify_rest_client.models import Blueprint

__getattr__ = further_names(__name__)

__all__ = ["Blueprint"]
