"""Operations of `outrider.nodes.docker.Container`: create, start, wait until healthy, run commands, stop, remove."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional, Union

import docker
import docker.errors
from outrider.plugins.docker import owned
from outrider.plugins.docker.client import engine
from outrider.plugins.sdk import NonRecoverableError, OperationRetry, ctx, operation

#: Lines of a container's log that are shown when it failed.
_LOG_LINES = 40


@operation(resumable=True)
def create(**_: Any) -> None:
    """Create the container, or find the one that an earlier try made."""
    properties = ctx.node.properties
    with engine(properties) as client:
        if owned.is_external():
            container = owned.find_external("container", owned.name_of("container"), client.containers.get)
        else:
            container = _existing(client) or _create(client, _settings(properties))
        owned.remember(container)
        ctx.logger.info("container %s is %s", container.name, container.short_id)


def _create(client: docker.DockerClient, settings: Mapping[str, Any]) -> Any:
    try:
        return client.containers.create(**settings)
    except docker.errors.APIError as error:
        if error.status_code == 409 and "already in use" in str(error):
            raise owned.taken("container", str(settings["name"])) from error
        raise


@operation(resumable=True)
def start(**_: Any) -> None:
    """Start it; one that runs already is left alone."""
    with engine(ctx.node.properties) as client:
        container = _required(client)
        if container.status != "running":
            container.start()
        _note_addresses(container)


@operation(resumable=True)
def wait_until_healthy(**_: Any) -> None:
    """Ask for a retry until the health check passes; without one, until the container runs."""
    with engine(ctx.node.properties) as client:
        container = _required(client)
        state = container.attrs["State"]
        health = (state.get("Health") or {}).get("Status")
        if state["Status"] in {"exited", "dead"} and not ctx.node.properties.get("may_end"):
            raise NonRecoverableError(
                f"container {container.name} ended with code {state.get('ExitCode')}: {_last_lines(container)}"
            )
        if health == "unhealthy":
            raise NonRecoverableError(f"container {container.name} is unhealthy: {_health_output(state)}")
        if health == "starting" or (state["Status"] not in {"running", "exited"}):
            raise OperationRetry(f"container {container.name} is {health or state['Status']}", retry_after=1)
        _note_addresses(container)


@operation(resumable=True)
def stop(*, timeout_seconds: int = 10, **_: Any) -> None:
    """Stop it, by force after the time limit."""
    with engine(ctx.node.properties) as client:
        container = _existing(client)
        if container is not None and not owned.is_external() and container.status in {"running", "paused"}:
            container.stop(timeout=timeout_seconds)


@operation(resumable=True)
def delete(*, remove_volumes: Optional[bool] = None, **_: Any) -> None:
    """Remove it, with its anonymous volumes."""
    with engine(ctx.node.properties) as client:
        container = _existing(client)
        if container is not None and not owned.is_external():
            try:
                container.remove(force=True, v=remove_volumes is not False)
            except docker.errors.NotFound:
                ctx.logger.info("container %s is gone already", container.name)
            except docker.errors.APIError as error:
                if error.status_code != 409:
                    raise
                raise OperationRetry(f"container {container.name} is being removed", retry_after=1) from error
    owned.forget()


@operation
def run_command(*, command: Union[str, list[str]], user: str = "", **_: Any) -> dict[str, Any]:
    """Run a command in the container; returns ``{"exit_code", "output"}``, fails if the code is not 0."""
    with engine(ctx.node.properties) as client:
        container = _required(client)
        code, output = container.exec_run(command, user=user)
        text = output.decode(errors="replace")
        for line in text.splitlines():
            ctx.logger.info("<out> %s", line)
        if code != 0:
            raise NonRecoverableError(f"{command!r} in container {container.name} ended with code {code}: {text}")
        return {"exit_code": code, "output": text}


@operation(resumable=True)
def logs(*, lines: int = 100, **_: Any) -> str:
    """Return the last lines of the container's output."""
    with engine(ctx.node.properties) as client:
        return str(_required(client).logs(tail=lines).decode(errors="replace"))


@operation(resumable=True)
def check_drift(**_: Any) -> Optional[dict[str, Any]]:
    """Return what differs from the blueprint, or None: the container is gone, ended, or runs another image."""
    properties = ctx.node.properties
    with engine(properties) as client:
        container = _existing(client)
        if container is None:
            return {"missing": True}
        found = {}
        if container.status != "running" and not properties.get("may_end"):
            found["status"] = container.status
        expected = properties.get("image")
        if expected and container.attrs["Config"]["Image"] != expected:
            found["image"] = {"expected": expected, "found": container.attrs["Config"]["Image"]}
        return found or None


def _existing(client: docker.DockerClient) -> Optional[Any]:
    """Return the instance's container, by the id noted or by its labels."""
    noted = ctx.instance.runtime_properties.get("docker_id")
    if noted:
        try:
            return client.containers.get(noted)
        except docker.errors.NotFound:
            return None
    return owned.ours(client.containers.list(all=True, filters=owned.only_ours()))


def _required(client: docker.DockerClient) -> Any:
    container = _existing(client)
    if container is None:
        noted = ctx.instance.runtime_properties.get("docker_id")
        raise NonRecoverableError(f"the container of {ctx.instance.id} is gone (it was {noted or 'never made'})")
    return container


def _settings(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that make the container which the node's properties describe."""
    limits = properties.get("limits") or {}
    restart = properties.get("restart_policy") or {}
    settings: dict[str, Any] = {
        "image": _image(properties),
        "command": properties.get("command") or None,
        "entrypoint": properties.get("entrypoint") or None,
        "name": owned.name_of("container"),
        "detach": True,
        "environment": {key: str(value) for key, value in (properties.get("environment") or {}).items()},
        "ports": {port: _published(where) for port, where in (properties.get("ports") or {}).items()},
        "volumes": _volumes(properties),
        "labels": owned.labels(properties.get("labels")),
        "user": properties.get("user") or None,
        "working_dir": properties.get("working_dir") or None,
        "hostname": properties.get("hostname") or None,
        "network_mode": properties.get("network_mode") or None,
        "healthcheck": _health_check(properties.get("health_check")),
        "restart_policy": {"Name": restart["name"], "MaximumRetryCount": restart.get("retries", 0)}
        if restart
        else None,
        "mem_limit": limits.get("memory"),
        "nano_cpus": int(float(limits["cpus"]) * 1e9) if limits.get("cpus") else None,
        "pids_limit": limits.get("processes"),
    }
    given = {key: value for key, value in settings.items() if value not in (None, {}, [])}
    return {**given, **(properties.get("engine_arguments") or {})}


def _image(properties: Mapping[str, Any]) -> str:
    """Return the image's name: the property, else the image node that the container is related to."""
    if properties.get("image"):
        return str(properties["image"])
    for relationship in ctx.instance.relationships:
        if "outrider.nodes.docker.Image" in relationship.target.node.type_hierarchy:
            return str(relationship.target.instance.runtime_properties["name"])
    raise NonRecoverableError(f"{ctx.node.name}: set the property image, or relate it to an image node")


def _volumes(properties: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the mounts: the property's, and the volume nodes that the container is related to."""
    mounts = {
        source: {"bind": mount["path"], "mode": mount.get("mode", "rw")}
        for source, mount in (properties.get("volumes") or {}).items()
    }
    for relationship in ctx.instance.relationships:
        path = (properties.get("mounts") or {}).get(relationship.target.node.name)
        if path and "outrider.nodes.docker.Volume" in relationship.target.node.type_hierarchy:
            mounts[relationship.target.instance.runtime_properties["name"]] = {"bind": path, "mode": "rw"}
    return mounts


def _published(where: Any) -> Any:
    """Return a port's publication: a number, ``address:number``, or null for a free one."""
    if isinstance(where, str) and ":" in where:
        address, _, port = where.rpartition(":")
        return (address, int(port) if port else None)
    return int(where) if where is not None else None


def _health_check(check: Optional[Mapping[str, Any]]) -> Optional[dict[str, Any]]:
    if not check:
        return None
    nanoseconds = 1_000_000_000
    command = check["command"]
    return {
        "test": ["CMD-SHELL", command] if isinstance(command, str) else ["CMD", *command],
        "interval": int(float(check.get("interval_seconds", 5)) * nanoseconds),
        "timeout": int(float(check.get("timeout_seconds", 5)) * nanoseconds),
        "retries": int(check.get("retries", 3)),
        "start_period": int(float(check.get("start_period_seconds", 0)) * nanoseconds),
    }


def _note_addresses(container: Any) -> None:
    """Note the addresses and ports under which the container can be reached."""
    container.reload()
    settings = container.attrs["NetworkSettings"]
    networks = settings.get("Networks") or {}
    properties = ctx.instance.runtime_properties
    properties["addresses"] = {name: network.get("IPAddress") for name, network in networks.items()}
    properties["ip"] = next((address for address in properties["addresses"].values() if address), None)
    properties["ports"] = {
        port: [f"{place['HostIp']}:{place['HostPort']}" for place in places or ()]
        for port, places in (settings.get("Ports") or {}).items()
    }
    properties["status"] = container.status


def _last_lines(container: Any) -> str:
    return str(container.logs(tail=_LOG_LINES).decode(errors="replace")).strip() or "it printed nothing"


def _health_output(state: Mapping[str, Any]) -> str:
    log = (state.get("Health") or {}).get("Log") or []
    return str(log[-1].get("Output", "")).strip() if log else "its check said nothing"
