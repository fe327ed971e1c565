"""Operations of `outrider.nodes.docker.Volume`."""

from __future__ import annotations

from typing import Any

import docker
import docker.errors
from outrider.plugins.docker import owned
from outrider.plugins.docker.client import engine
from outrider.plugins.sdk import OperationRetry, ctx, operation


@operation(resumable=True)
def create(**_: Any) -> None:
    """Create the volume, or find it."""
    properties = ctx.node.properties
    name = owned.name_of("volume")
    with engine(properties) as client:
        if owned.is_external():
            volume = owned.find_external("volume", name, client.volumes.get)
        else:
            earlier = owned.ours(client.volumes.list(filters=owned.only_ours()))
            volume = earlier or _create(client, name)
        owned.remember(volume)
        ctx.logger.info("volume %s", volume.name)


def _create(client: docker.DockerClient, name: str) -> Any:
    properties = ctx.node.properties
    # The engine answers "created" for a volume of this name that is there already, whoever's it is.
    if any(existing.name == name for existing in client.volumes.list(filters={"name": name})):
        raise owned.taken("volume", name)
    return client.volumes.create(
        name,
        driver=properties.get("driver") or "local",
        driver_opts=properties.get("driver_options") or None,
        labels=owned.labels(properties.get("labels")),
    )


@operation(resumable=True)
def delete(**_: Any) -> None:
    """Remove the volume with what is in it, if it is ours and not to be kept."""
    with engine(ctx.node.properties) as client:
        volume = owned.ours(client.volumes.list(filters=owned.only_ours()))
        if volume is not None and not owned.is_external():
            if ctx.node.properties.get("keep"):
                ctx.logger.info("volume %s is kept, as its property says", volume.name)
            else:
                try:
                    volume.remove()
                except docker.errors.APIError as error:
                    if "in use" not in str(error):
                        raise
                    raise OperationRetry(f"volume {volume.name} is still in use", retry_after=2) from error
    owned.forget()
