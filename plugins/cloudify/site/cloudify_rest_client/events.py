"""The model of `events` under the module name that plugins import."""

from cloudify_rest_client.models import Event

__all__ = ["Event"]
