"""Access to the manager, for plugins that ask for it; nothing here is used by an operation that does not."""

import os

from outrider_facade import missing_from
from outrider_facade.tracking import DirtyTrackingDict

from cloudify.exceptions import NonRecoverableError

__all__ = ["DirtyTrackingDict", "get_rest_client"]

__getattr__ = missing_from(__name__)


def get_rest_client(tenant=None, api_token=None):
    """Return a client of the manager's REST API, with the token and the tenant of the current operation.

    Raises NonRecoverableError where the operation runs without a manager, RecoverableError if nobody says where it is.
    """
    from cloudify_rest_client import CloudifyClient
    from outrider_facade.manager_access import endpoint

    from cloudify.utils import get_tenant_name

    context = _context()
    found = endpoint(context)
    if found is None:
        raise NonRecoverableError(
            "this operation runs without a manager, so there is no REST API to ask: its dispatcher belongs to none "
            "(`outrider up` starts one), and no REST_HOST in the agent's environment names another"
        )
    headers = {}
    if api_token is None and found.execution_token:
        headers["Execution-Token"] = found.execution_token
    raw = getattr(context, "_context", None) or {}
    if raw.get("bypass_maintenance") or os.environ.get("BYPASS_MAINTENANCE", "").lower() == "true":
        headers["X-BYPASS-MAINTENANCE"] = "True"
    return CloudifyClient(
        host=found.host,
        port=found.port,
        protocol=found.protocol,
        cert=found.cert,
        **({"token": api_token} if api_token is not None else found.account),
        tenant=tenant or get_tenant_name(),
        headers=headers,
    )


def update_node_instance(node_instance, client=None):
    """Save a node instance's runtime properties and state at the manager; raises CloudifyClientError on a conflict."""
    return (client or get_rest_client()).node_instances.update(
        node_instance.id,
        state=node_instance.state,
        runtime_properties=node_instance.runtime_properties,
        version=node_instance.version,
    )


def get_node_instance(node_instance_id, evaluate_functions=False, client=None):
    """Return a node instance from the manager."""
    return (client or get_rest_client()).node_instances.get(node_instance_id, evaluate_functions=evaluate_functions)


def download_resource(resource_path, logger=None, target_path=None):
    """Copy a blueprint resource; see ``ctx.download_resource``."""
    from cloudify.state import current_ctx

    path = current_ctx.get_ctx().download_resource(resource_path, target_path)
    if logger is not None:
        logger.info("Downloaded %s to %s", resource_path, path)
    return path


def get_resource(resource_path):
    """Return a blueprint resource as bytes."""
    from cloudify.state import current_ctx

    return current_ctx.get_ctx().get_resource(resource_path)


def get_bootstrap_context(client=None):
    """Return the settings of the installation."""
    from cloudify.state import current_ctx

    return dict(current_ctx.get_ctx().bootstrap_context)


def _context():
    from cloudify.state import NotInContext, current_ctx

    try:
        return current_ctx.get_ctx()
    except NotInContext:
        return None
