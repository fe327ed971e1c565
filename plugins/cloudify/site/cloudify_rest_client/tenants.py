"""The model of `tenants` under the module name that plugins import."""

from cloudify_rest_client.models import Tenant

__all__ = ["Tenant"]
