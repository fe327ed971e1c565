"""Operations of `outrider.nodes.docker.Image`: pull it, build it from the blueprint, or load an archive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Optional

import docker
import docker.errors
from docker.utils import parse_repository_tag
from outrider.plugins.docker import owned
from outrider.plugins.docker.client import engine, refusal
from outrider.plugins.docker.registries import credentials
from outrider.plugins.sdk import NonRecoverableError, OperationRetry, ctx, operation


@operation(resumable=True)
def create(**_: Any) -> None:
    """Bring the image to the engine."""
    properties = ctx.node.properties
    name = _full_name(properties)
    with engine(properties) as client:
        if owned.is_external():
            image = owned.find_external("image", name, client.images.get)
        else:
            _note_whether_there(client, name)
            if properties.get("build"):
                image = _build(client, name)
            elif properties.get("archive"):
                image = _load(client, name)
            else:
                image = _pull(client, name)
        owned.remember(image, name=name)
        ctx.logger.info("image %s is %s", name, image.short_id)


def _note_whether_there(client: docker.DockerClient, name: str) -> None:
    """Note, durably and before anything is brought, whether the image was there.

    A later try finds what this one brought, and could not tell.
    """
    noted = ctx.instance.runtime_properties
    if "was_there_before" not in noted:
        noted["was_there_before"] = _find(client, name) is not None
        noted["name"] = name
        ctx.instance.update()


@operation(resumable=True)
def delete(**_: Any) -> None:
    """Remove the image, if this node brought it and nothing else uses it."""
    properties = ctx.instance.runtime_properties
    name = properties.get("name")
    keep = owned.is_external() or ctx.node.properties.get("keep") or properties.get("was_there_before")
    if name and not keep:
        with engine(ctx.node.properties) as client:
            _remove(client, name)
    owned.forget()


def _remove(client: docker.DockerClient, name: str) -> None:
    try:
        client.images.remove(name)
    except docker.errors.ImageNotFound:
        ctx.logger.info("image %s is gone already", name)
    except docker.errors.APIError as error:
        if error.status_code != 409:
            raise
        users = client.containers.list(all=True, filters={"ancestor": name})
        others = [str(user.name) for user in users if not _of_us(user)]
        if not others:
            raise OperationRetry(f"image {name} is still used by a container", retry_after=2) from error
        ctx.logger.info("image %s stays, it is used by %s", name, ", ".join(others))


def _of_us(container: Any) -> bool:
    return bool(container.labels.get(owned.DEPLOYMENT_LABEL) == ctx.deployment.id)


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
    repository, tag = parse_repository_tag(name)
    account = credentials(properties.get("registry") or {})
    wrong = _follow(client.api.pull(repository, tag=tag, stream=True, decode=True, auth_config=account))
    if wrong:
        raise refusal(f"cannot pull {name}: {wrong}")
    return client.images.get(name)


def _build(client: docker.DockerClient, name: str) -> Any:
    """Build from a folder of the blueprint; what the builder says goes to the log."""
    build = ctx.node.properties["build"]
    folder = ctx.download_directory(build.get("folder") or ".")
    output = client.api.build(
        path=folder,
        dockerfile=build.get("dockerfile") or "Dockerfile",
        buildargs={key: str(value) for key, value in (build.get("arguments") or {}).items()},
        labels=owned.labels(),
        tag=name,
        rm=True,
        forcerm=True,
        decode=True,
    )
    wrong = _follow(output)
    if wrong:
        raise NonRecoverableError(f"cannot build {name}: {wrong}")
    return client.images.get(name)


def _follow(output: Iterable[Mapping[str, Any]]) -> str:
    """Log what a builder says; return what went wrong, which is told in the stream, or an empty text.

    Reads to the end also then: the connection is free again after that only.
    """
    wrong = ""
    for entry in output:
        wrong = str(entry.get("error") or wrong)
        line = str(entry.get("stream") or "").strip()
        if line:
            ctx.logger.info("%s", line)
    return wrong


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
