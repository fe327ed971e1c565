"""Who made what: every resource carries the deployment and the instance that it belongs to as labels.

So a try that follows a crash finds what the earlier one made, and a name taken by somebody else is said, not reused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Callable, Optional, TypeVar

import docker.errors
from outrider.plugins.sdk import NonRecoverableError, ctx

DEPLOYMENT_LABEL = "outrider.deployment"
INSTANCE_LABEL = "outrider.instance"

Resource = TypeVar("Resource")


def labels(more: Optional[dict[str, str]] = None) -> dict[str, str]:
    """Return the labels of a resource of the current instance."""
    return {**(more or {}), DEPLOYMENT_LABEL: ctx.deployment.id, INSTANCE_LABEL: ctx.instance.id}


def ours(resources: Iterable[Resource]) -> Optional[Resource]:
    """Return the resource that an earlier try of the current instance made."""
    for resource in resources:
        if _labels_of(resource).get(INSTANCE_LABEL) == ctx.instance.id and (
            _labels_of(resource).get(DEPLOYMENT_LABEL) == ctx.deployment.id
        ):
            return resource
    return None


def only_ours(filters: Optional[dict[str, Any]] = None) -> dict[str, Any]:
    """Return filters for the engine's list calls that select what belongs to the current instance."""
    own = [f"{DEPLOYMENT_LABEL}={ctx.deployment.id}", f"{INSTANCE_LABEL}={ctx.instance.id}"]
    return {**(filters or {}), "label": own}


def find_external(kind: str, name: str, get: Callable[[str], Resource]) -> Resource:
    """Return the existing resource that a node with `use_external_resource` names; raises if there is none."""
    if not name:
        raise NonRecoverableError(f"{ctx.node.name} uses an external {kind}: its property resource_id has to name it")
    try:
        return get(name)
    except docker.errors.NotFound as error:
        raise NonRecoverableError(
            f"{ctx.node.name} uses the external {kind} {name!r}, which the engine does not have"
        ) from error


def taken(kind: str, name: str) -> NonRecoverableError:
    """Return the error for a name that belongs to a resource which the current instance did not make."""
    return NonRecoverableError(
        f"the engine already has a {kind} {name!r} that is not this instance's: "
        "choose another resource_id, or set use_external_resource"
    )


def is_external() -> bool:
    """Tell whether the node's resource belongs to somebody else: it is neither made, changed nor removed."""
    return bool(ctx.node.properties.get("use_external_resource"))


def name_of(kind: str) -> str:
    """Return the name for the current instance's resource: the node's `resource_id`, else made from its id."""
    given = ctx.node.properties.get("resource_id") or ctx.node.properties.get("name")
    if given and ctx.instance.index > 1:
        return f"{given}-{ctx.instance.index}"
    return str(given or f"{ctx.deployment.id}-{ctx.instance.id}-{kind}".replace("_", "-").lower())


def remember(resource: Any, **more: Any) -> None:
    """Save what the resource is called, durably, before anything else happens."""
    properties = ctx.instance.runtime_properties
    properties["docker_id"] = resource.id
    properties["name"] = getattr(resource, "name", None)
    properties["external"] = is_external()
    properties.update(more)
    ctx.instance.update()


def forget() -> None:
    """Remove everything that `remember` and later operations noted."""
    ctx.instance.runtime_properties.clear()


def _labels_of(resource: Any) -> dict[str, str]:
    attributes = resource.attrs
    found = attributes.get("Labels") or (attributes.get("Config") or {}).get("Labels")
    return dict(found or {})
