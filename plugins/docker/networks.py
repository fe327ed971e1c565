"""Operations of `outrider.nodes.docker.Network` and of connecting a container to one."""

from __future__ import annotations

from typing import Any, Optional

import docker
import docker.errors
import docker.types
from outrider.plugins.docker import owned
from outrider.plugins.docker.client import engine
from outrider.plugins.sdk import OperationRetry, ctx, operation


@operation(resumable=True)
def create(**_: Any) -> None:
    """Create the network, or find it."""
    properties = ctx.node.properties
    with engine(properties) as client:
        if owned.is_external():
            network = owned.find_external("network", owned.name_of("network"), client.networks.get)
        else:
            network = owned.ours(client.networks.list(filters=owned.only_ours())) or _create(client)
        owned.remember(network)
        ctx.logger.info("network %s", network.name)


def _create(client: docker.DockerClient) -> Any:
    properties = ctx.node.properties
    name = owned.name_of("network")
    # The engine allows several networks of one name.
    if any(existing.name == name for existing in client.networks.list(names=[name])):
        raise owned.taken("network", name)
    return client.networks.create(
        name,
        driver=properties.get("driver") or "bridge",
        options=properties.get("driver_options") or None,
        ipam=_addresses(properties.get("subnet"), properties.get("gateway")),
        internal=bool(properties.get("internal")),
        labels=owned.labels(properties.get("labels")),
    )


@operation(resumable=True)
def delete(**_: Any) -> None:
    """Remove the network, if it is ours."""
    network_id = ctx.instance.runtime_properties.get("docker_id")
    with engine(ctx.node.properties) as client:
        network = _find(client, network_id) or owned.ours(client.networks.list(filters=owned.only_ours()))
        if network is not None and not owned.is_external():
            try:
                network.remove()
            except docker.errors.APIError as error:
                if "active endpoints" not in str(error):
                    raise
                raise OperationRetry(f"network {network.name} still has containers", retry_after=2) from error
    owned.forget()


@operation(resumable=True)
def connect(*, aliases: Optional[list[str]] = None, **_: Any) -> None:
    """Connect the container (source) to the network (target)."""
    network_id = ctx.target.instance.runtime_properties["docker_id"]
    container_id = ctx.source.instance.runtime_properties["docker_id"]
    with engine(ctx.source.node.properties) as client:
        network = client.networks.get(network_id)
        if container_id in (network.attrs.get("Containers") or {}):
            return
        try:
            network.connect(container_id, aliases=[ctx.source.node.name, *(aliases or ())])
        except docker.errors.APIError as error:
            if "already exists in network" not in str(error):
                raise


@operation(resumable=True)
def disconnect(**_: Any) -> None:
    """Disconnect the container (source) from the network (target), if both are still there."""
    network_id = ctx.target.instance.runtime_properties.get("docker_id")
    container_id = ctx.source.instance.runtime_properties.get("docker_id")
    if not network_id or not container_id:
        return
    with engine(ctx.source.node.properties) as client:
        network = _find(client, network_id)
        if network is not None:
            try:
                network.disconnect(container_id, force=True)
            except docker.errors.APIError as error:
                if error.status_code != 404 and "is not connected" not in str(error):
                    raise


def _find(client: docker.DockerClient, network_id: Optional[str]) -> Any:
    if not network_id:
        return None
    try:
        return client.networks.get(network_id)
    except docker.errors.NotFound:
        return None


def _addresses(subnet: Optional[str], gateway: Optional[str]) -> Optional[docker.types.IPAMConfig]:
    if not subnet:
        return None
    return docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet=subnet, gateway=gateway)])
