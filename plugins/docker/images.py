"""Operations of `outrider.nodes.docker.Image`: pull it, build it from the blueprint, or load an archive."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

import docker
import docker.errors
from outrider.plugins.docker import owned
from outrider.plugins.docker.client import engine
from outrider.plugins.docker.registries import credentials
from outrider.plugins.sdk import NonRecoverableError, OperationRetry, ctx, operation


@operation(resumable=True)
def create(**_: Any) -> None:
    """Bring the image to the engine."""
    properties = ctx.node.properties
    name = _full_name(properties)
    with engine(properties) as client:
        there_before = _find(client, name) is not None
        if owned.is_external():
            image = owned.find_external("image", name, client.images.get)
        elif properties.get("build"):
            image = _build(client, name)
        elif properties.get("archive"):
            image = _load(client, name)
        else:
            image = _pull(client, name)
        earlier = ctx.instance.runtime_properties.get("was_there_before")
        # Decided at the first try: a retry finds what the first one brought.
        owned.remember(image, name=name, was_there_before=there_before if earlier is None else earlier)
        ctx.logger.info("image %s is %s", name, image.short_id)


@operation(resumable=True)
def delete(**_: Any) -> None:
    """Remove the image, if this node brought it and nothing else uses it."""
    properties = ctx.instance.runtime_properties
    name = properties.get("name")
    keep = owned.is_external() or ctx.node.properties.get("keep") or properties.get("was_there_before")
    if name and not keep:
        with engine(ctx.node.properties) as client:
            try:
                client.images.remove(name)
            except docker.errors.ImageNotFound:
                ctx.logger.info("image %s is gone already", name)
            except docker.errors.APIError as error:
                if error.status_code != 409:
                    raise
                if "stopped container" in str(error) or "running container" in str(error):
                    raise OperationRetry(f"image {name} is still used by a container", retry_after=2) from error
                raise
    owned.forget()


def _full_name(properties: dict[str, Any]) -> str:
    name = properties.get("resource_id") or properties.get("name")
    if not name:
        raise NonRecoverableError(f"{ctx.node.name}: the property name has to say which image (repository:tag)")
    registry = (properties.get("registry") or {}).get("address")
    full = f"{registry}/{name}" if registry else str(name)
    last = full.rpartition("/")[2]
    return full if ":" in last or "@" in last else f"{full}:latest"


def _find(client: docker.DockerClient, name: str) -> Optional[Any]:
    try:
        return client.images.get(name)
    except docker.errors.ImageNotFound:
        return None


def _pull(client: docker.DockerClient, name: str) -> Any:
    properties = ctx.node.properties
    present = _find(client, name)
    if present is not None and properties.get("pull", "missing") == "missing":
        return present
    ctx.logger.info("pulling %s", name)
    return client.images.pull(name, auth_config=credentials(properties.get("registry") or {}))


def _build(client: docker.DockerClient, name: str) -> Any:
    """Build from a folder of the blueprint; what the builder says goes to the log."""
    build = ctx.node.properties["build"]
    folder = ctx.download_directory(build.get("folder") or ".")
    image, output = client.images.build(
        path=folder,
        dockerfile=build.get("dockerfile") or "Dockerfile",
        buildargs={key: str(value) for key, value in (build.get("arguments") or {}).items()},
        labels=owned.labels(),
        tag=name,
        rm=True,
        forcerm=True,
    )
    for entry in output:
        line = str(entry.get("stream") or "").strip() if isinstance(entry, dict) else ""
        if line:
            ctx.logger.info("%s", line)
    return image


def _load(client: docker.DockerClient, name: str) -> Any:
    """Load an archive (`docker save`, or a root file system to import) from the blueprint's resources."""
    archive = Path(ctx.download_resource(ctx.node.properties["archive"]))
    if ctx.node.properties.get("archive_is_root_file_system"):
        repository, _, tag = name.rpartition(":")
        with archive.open("rb") as content:
            client.api.import_image_from_data(content.read(), repository=repository, tag=tag)
        return client.images.get(name)
    with archive.open("rb") as content:
        loaded = client.images.load(content)
    for image in loaded:
        if name in image.tags:
            return image
    names = ", ".join(tag for image in loaded for tag in image.tags)
    raise NonRecoverableError(f"{ctx.node.properties['archive']} holds {names or 'no named image'}, not {name}")
