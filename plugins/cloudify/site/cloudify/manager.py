"""Access to the manager, for plugins that ask for it; nothing here is used by an operation that does not."""

import os

from outrider_facade import missing_from
from outrider_facade.tracking import DirtyTrackingDict

from cloudify.exceptions import NonRecoverableError

__all__ = ["DirtyTrackingDict", "get_rest_client"]

__getattr__ = missing_from(__name__)


def get_rest_client(tenant=None, api_token=None):
    """Return a client of the manager's REST API, with the token and the tenant of the current operation.

    Raises NonRecoverableError where the operation runs without a manager.
    """
    from cloudify_rest_client import CloudifyClient

    from cloudify.utils import get_tenant_name

    context = _raw_context()
    host = context.get("rest_host") or os.environ.get("REST_HOST")
    if not host:
        raise NonRecoverableError(
            "this operation runs without a manager, so there is no REST API to ask: "
            "neither the task nor the variable REST_HOST names one; set it, REST_PORT, REST_PROTOCOL and REST_TOKEN "
            "in the agent's environment"
        )
    headers = {}
    if api_token is None and context.get("execution_token"):
        headers["Execution-Token"] = context["execution_token"]
    if context.get("bypass_maintenance") or os.environ.get("BYPASS_MAINTENANCE", "").lower() == "true":
        headers["X-BYPASS-MAINTENANCE"] = "True"
    port = context.get("rest_port") or os.environ.get("REST_PORT")
    return CloudifyClient(
        host=host if isinstance(host, str) else host[0],
        port=int(port) if port else None,
        protocol=os.environ.get("REST_PROTOCOL", "https"),
        cert=os.environ.get("LOCAL_REST_CERT_FILE"),
        **_account(context, api_token, headers),
        tenant=tenant or get_tenant_name(),
        headers=headers,
    )


def _account(context, api_token, headers):
    """Return who asks: a token that was given, else the execution, else who the agent's environment names."""
    if api_token is not None:
        return {"token": api_token}
    if "Execution-Token" in headers:
        return {}
    if context.get("rest_token"):
        return {"token": context["rest_token"]}
    names = {"token": "REST_TOKEN", "username": "REST_USERNAME", "password": "REST_PASSWORD"}
    return {name: os.environ[variable] for name, variable in names.items() if variable in os.environ}


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


def _raw_context():
    from cloudify.state import NotInContext, current_ctx

    try:
        return getattr(current_ctx.get_ctx(), "_context", None) or {}
    except NotInContext:
        return {}
