"""The model of `executions` under the module name that plugins import."""

from cloudify_rest_client.models import Execution

__all__ = ["Execution"]
