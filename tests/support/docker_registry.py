"""An image registry for tests: Debian's `docker-registry`, on loopback, in a temporary folder."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from tests.support.docker_engine import DockerEngine
from tests.support.ports import free_port
from tests.support.waiting import wait_until

USER, PASSWORD = "reader", "registry-pass"
#: What the tiny image has as /www/index.html.
WORD = b"deep\n"
_CONFIG = """\
version: 0.1
storage: {{ filesystem: {{ rootdirectory: {folder}/images }}, delete: {{ enabled: true }} }}
http: {{ addr: "127.0.0.1:{port}" }}
auth: {{ htpasswd: {{ realm: tests, path: {folder}/users }} }}
"""


@dataclass(frozen=True)
class Registry:
    """A registry that runs, and takes one user."""

    address: str
    user: str = USER
    password: str = PASSWORD


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    """Run a registry; skips by name where the program is missing."""
    if shutil.which("docker-registry") is None:
        pytest.skip("the program docker-registry is not installed")
    import bcrypt  # comes with paramiko; only this fixture needs it

    folder = Path(tempfile.mkdtemp(prefix="outrider-registry-"))
    port = free_port()
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (folder / "users").write_text(f"{USER}:{hashed}\n", encoding="utf-8")
    (folder / "config.yml").write_text(_CONFIG.format(folder=folder, port=port), encoding="utf-8")
    with (folder / "log").open("wb") as log:
        command = ["docker-registry", "serve", str(folder / "config.yml")]
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until(lambda: _answers(port), 20, "the image registry to answer")
        yield Registry(f"127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(timeout=10)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=2).close()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code == 401
    except OSError:
        return False
    return True


def busybox_tarball() -> bytes:
    """Return the file system of a tiny image; skips by name where there is no static busybox."""
    program = shutil.which("busybox")
    if program is None:
        pytest.skip("the program busybox (Debian: busybox-static) is not installed")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.add(program, "bin/busybox", filter=_plain)
        for name in ("sh", "sleep", "cat", "echo", "httpd", "wget", "id", "test", "touch", "rm", "ls", "nc"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        word = tarfile.TarInfo("www/index.html")
        word.size = len(WORD)
        archive.addfile(word, io.BytesIO(WORD))
        for folder in ("tmp", "etc", "data"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777
            archive.addfile(entry)
    return stream.getvalue()


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def push_busybox(engine: DockerEngine, registry: Registry, name: str, *, command: Sequence[str] = ("sh",)) -> str:
    """Put the tiny image into the registry, and not onto the engine; return its full name.

    It runs `command`, and has a page in ``/www``.
    """
    full = f"{registry.address}/{name}"
    repository, _, tag = full.rpartition(":")
    with contextlib.closing(engine.client()) as client:
        changes = [f"CMD {json.dumps(list(command))}"]
        client.api.import_image_from_data(busybox_tarball(), repository=repository, tag=tag, changes=changes)
        said = client.api.push(
            repository, tag=tag, auth_config={"username": registry.user, "password": registry.password}
        )
        assert "error" not in str(said), said
        client.images.remove(full)
    return full


def inventory(client: docker.DockerClient) -> dict[str, list[str]]:
    """Return the names of all that is on the engine, without the networks that every engine has."""
    networks = {network.name for network in client.networks.list()} - {"bridge", "host", "none"}
    return {
        "images": sorted(tag for image in client.images.list() for tag in image.tags),
        "containers": sorted(container.name for container in client.containers.list(all=True)),
        "networks": sorted(networks),
        "volumes": sorted(volume.name for volume in client.volumes.list()),
    }
