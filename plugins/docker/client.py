"""Connects to a Docker Engine: local socket, TCP with TLS, or SSH; and translates its errors.

The engine is named by the node's `client_config`, else by the environment of the agent (``DOCKER_HOST``), else it is
the local socket.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Optional

import requests.exceptions

import docker
import docker.errors
import docker.tls
from outrider.plugins.docker.ssh_tunnel import open_tunnel
from outrider.plugins.sdk import NonRecoverableError, RecoverableError

DEFAULT_TIMEOUT_SECONDS = 60
LOCAL_SOCKET = "unix:///var/run/docker.sock"
#: Answers that will be the same at the next try.
_FINAL = frozenset({400, 401, 403, 404, 405, 406, 422})
#: What the engine reports, under whatever status, for want of room or addresses, and what registries refuse.
_FINAL_WORDS = (
    *("no space left", "could not find an available", "quota"),
    *("unauthorized", "authentication required", "no basic auth credentials", "denied", "manifest unknown"),
    *("not found", "no such image", "invalid reference"),
)


def configuration(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the engine's connection settings for a node with these properties."""
    return {key: value for key, value in (properties.get("client_config") or {}).items() if value is not None}


@contextmanager
def engine(properties: Mapping[str, Any]) -> Iterator[docker.DockerClient]:
    """Connect to the engine for the time of the block; the errors inside it become the SDK's.

    Raises `RecoverableError` if the engine is away or busy, `NonRecoverableError` if it refuses.
    """
    settings = configuration(properties)
    with ExitStack() as stack:
        with translated_errors(settings.get("url") or "the local engine"):
            client = _connect(settings, stack)
            stack.callback(client.close)
        with translated_errors(settings.get("url") or "the local engine"):
            yield client


def _connect(settings: Mapping[str, Any], stack: ExitStack) -> docker.DockerClient:
    url: Optional[str] = settings.get("url")
    timeout = settings.get("timeout_seconds") or DEFAULT_TIMEOUT_SECONDS
    _require_listener(url or os.environ.get("DOCKER_HOST") or LOCAL_SOCKET, timeout)
    if url is None:
        return docker.from_env(timeout=timeout)
    if url.startswith("ssh://"):
        tunnel = stack.enter_context(open_tunnel(url, settings.get("ssh") or {}, timeout_seconds=timeout))
        url = f"unix://{tunnel.socket_path}"
    return docker.DockerClient(base_url=url, timeout=timeout, tls=_tls(settings, stack))


def _require_listener(url: str, timeout_seconds: float) -> None:
    """Raise OSError if nobody listens at a Unix socket: docker's own client then leaves sockets open."""
    scheme, _, path = url.partition("://")
    if scheme == "unix":
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(timeout_seconds)
            probe.connect(path)


def _tls(settings: Mapping[str, Any], stack: ExitStack) -> Any:
    """Return docker's TLS settings; certificates are given as PEM texts and live in files for this operation only."""
    tls = settings.get("tls")
    if not tls:
        return str(settings.get("url") or "").startswith("https://")
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="docker-tls-")))
    files = {}
    for name in ("ca", "certificate", "key"):
        if tls.get(name):
            file = folder / f"{name}.pem"
            file.touch(mode=0o600)
            file.write_text(tls[name], encoding="utf-8")
            files[name] = str(file)
    if "ca" in files:
        stack.enter_context(_without_variables("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
    pair = (files["certificate"], files["key"]) if {"certificate", "key"} <= set(files) else None
    return docker.tls.TLSConfig(client_cert=pair, ca_cert=files.get("ca"), verify=True)


@contextmanager
def _without_variables(*names: str) -> Iterator[None]:
    """Hide environment variables that the HTTP library prefers to the authority that it is told."""
    hidden = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


@contextmanager
def translated_errors(where: str) -> Iterator[None]:
    """Turn the docker library's errors into the SDK's: final ones stop the workflow, others are tried again."""
    try:
        yield
    except docker.errors.APIError as error:
        raise refusal(f"{where}: {error.explanation or error}", status=error.status_code) from error
    except (docker.errors.ContainerError, docker.errors.ImageLoadError) as error:
        raise NonRecoverableError(f"{where}: {error}") from error
    except docker.errors.TLSParameterError as error:
        raise NonRecoverableError(f"{where}: the TLS settings are not usable: {error}") from error
    except requests.exceptions.ReadTimeout as error:
        raise RecoverableError(f"{where} did not answer in time (client_config.timeout_seconds): {error}") from error
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        if _is_wrong_certificate(error):
            raise NonRecoverableError(f"{where}: one side does not trust the other's certificate: {error}") from error
        raise RecoverableError(f"{where} is not reachable: {error}") from error


def refusal(text: str, *, status: Optional[int] = None) -> Exception:
    """Return the error for what the engine said: what it refuses stays refused, a restarting engine passes."""
    if status in _FINAL or any(word in text.lower() for word in _FINAL_WORDS):
        return NonRecoverableError(text)
    return RecoverableError(text)


def _is_wrong_certificate(error: BaseException) -> bool:
    seen: Optional[BaseException] = error
    while seen is not None:
        if isinstance(seen, requests.exceptions.SSLError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
