"""The example `container-on-aws`, as it is: a machine from AWS, an agent by SSH, a container from a registry.

moto stands for AWS, a systemd host for the machine, and the tests' engine for the one on it: its socket is bound into
the host. AWS gives the machine an address; the fixture leads from it to the host, as the cloud's network would.
"""

from __future__ import annotations

import contextlib
import json
import select
import shutil
import socket
import socketserver
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from outrider.installer import Bundle
from tests.support.aws import CREDENTIALS, Moto
from tests.support.blueprint_hosts import FleetService
from tests.support.docker_engine import DockerEngine
from tests.support.docker_nodes import DockerNode
from tests.support.docker_registry import WORD, Registry, inventory, push_busybox, registry
from tests.support.hosts import Host, StartHost
from tests.support.installing import SYSTEM_PATHS, target_of
from tests.support.ports import free_port
from tests.support.rabbitmq import require_rabbitmq
from tests.support.shipped_wagons import shipped_wagon

__all__ = ["registry"]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "container-on-aws" / "blueprint.yaml"

pytestmark = [pytest.mark.hosts, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def machine(start_host: StartHost, engine: DockerEngine) -> Host:
    """A host that has the engine's socket, and Docker's command."""
    command = shutil.which("docker")
    if command is None:
        pytest.skip("the program docker is not installed")
    files = {"/run/docker.sock": engine.url.removeprefix("unix://"), "/usr/local/bin/docker": command}
    host = start_host(files=files)
    host.run("groupadd --force docker && chgrp docker /run/docker.sock && chmod 660 /run/docker.sock")
    return host


@pytest.fixture
def fleet(
    engine: DockerEngine, agent_bundle: Bundle, moto: Moto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FleetService]:
    """An installation whose central agent finds AWS by its environment."""
    require_rabbitmq()
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto.url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", CREDENTIALS["region_name"])
    for name in ("aws_access_key_id", "aws_secret_access_key"):
        monkeypatch.setenv(name.upper(), CREDENTIALS[name])
    service = FleetService(tmp_path, engine.gateway, agent_bundle)
    try:
        service.start()
        for plugin in ("aws", "docker"):
            service.outrider("plugin", "install", str(shipped_wagon(plugin)))
        yield service
    finally:
        service.close()


def test_a_machine_from_aws_runs_a_container_and_nothing_is_left_of_it(
    fleet: FleetService, machine: Host, moto: Moto, engine: DockerEngine, registry: Registry, tmp_path: Path
) -> None:
    full_name = push_busybox(engine, registry, "web:1", command=["httpd", "-f", "-p", "80", "-h", "/www"])
    # AWS takes RSA and Ed25519 keys only. It would put the public one into the machine.
    key = tmp_path / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, timeout=30)
    public_key = key.with_suffix(".pub").read_text().strip()
    machine.authorize("root", public_key)
    fleet.set_secret("machine_key", key.read_text())
    fleet.set_secret("registry_password", registry.password)
    inputs = {
        "image": moto.client("ec2").describe_images()["Images"][0]["ImageId"],
        "user": "root",
        "public_key": public_key,
        "registry": registry.address,
        "registry_user": registry.user,
        "port": str(free_port()),
    }
    with contextlib.closing(engine.client()) as docker:
        before = inventory(docker)
        with reached_as_aws_says(moto, machine):
            said = [part for name, value in inputs.items() for part in ("-i", f"{name}={value}")]
            done = fleet.outrider("run", str(EXAMPLE), "install", "--deployment", "web", *said, "--json")
            outputs = json.loads(done.stdout)["outputs"]

            container = docker.containers.get(outputs["container"])
            assert container.status == "running"
            assert container.attrs["Config"]["Image"] == full_name
            assert outputs["address"] == moto.client("ec2").describe_addresses()["Addresses"][0]["PublicIp"]
            assert machine.exists("/opt/outrider/agent/current")
            address = container.attrs["NetworkSettings"]["IPAddress"]
            with urllib.request.urlopen(f"http://{address}/", timeout=10) as answer:
                assert answer.read() == WORD

            fleet.outrider("run", str(EXAMPLE), "uninstall", "--deployment", "web")
        assert inventory(docker) == before
    assert moto.inventory() == []
    assert [path for path in SYSTEM_PATHS if machine.exists(path)] == []


@contextlib.contextmanager
def reached_as_aws_says(moto: Moto, host: Host) -> Iterator[None]:
    """Lead SSH for the address that AWS gives to the machine to the host, as soon as there is one."""
    ended = threading.Event()
    open_ways: list[socketserver.ThreadingTCPServer] = []

    def watch() -> None:
        ec2 = moto.client("ec2")
        while not ended.wait(0.5) and not open_ways:
            given = [each["PublicIp"] for each in ec2.describe_addresses()["Addresses"] if each.get("AssociationId")]
            # moto's elastic IPs are loopback addresses: this machine may listen at any of them.
            open_ways.extend(ssh_of(host, at=address) for address in given[:1])
        for way in open_ways:
            way.serve_forever(0.05)

    thread = threading.Thread(target=watch, name="ssh-to-machine")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        for way in open_ways:
            way.shutdown()
            way.server_close()
        thread.join(30)


def ssh_of(host: Host, *, at: str) -> socketserver.ThreadingTCPServer:
    """Return a server at an address whose port 22 leads to the host's."""

    class Carrier(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError), socket.create_connection((host.address, 22), timeout=10) as there:
                ends = {self.request: there, there: self.request}
                while True:
                    for ready in select.select(list(ends), [], [], 300)[0]:
                        data = ready.recv(65536)
                        if not data:
                            return
                        ends[ready].sendall(data)

    server = socketserver.ThreadingTCPServer((at, 22), Carrier)
    server.daemon_threads = True
    return server


def test_an_engine_is_reached_by_ssh(machine: Host, engine: DockerEngine) -> None:
    machine.run("usermod --append --groups docker deploy")
    key = {"private_key": machine.private_key.read_text()}
    ssh = {**key, "host_key": target_of(machine).host_keys.fingerprint}
    address = f"{machine.address}:22"
    volume = DockerNode("Volume", {"url": f"ssh://deploy@{address}", "ssh": ssh}, {"name": "over-ssh"})
    volume.do("create")
    with contextlib.closing(engine.client()) as docker:
        assert docker.volumes.get("over-ssh").attrs["Labels"]["outrider.instance"] == "volume_1"
    by_gateway = {**ssh, "gateway": {**ssh, "host": f"guest@{address}"}}
    volume.client_config = {"url": "ssh://deploy@127.0.0.1", "ssh": by_gateway}
    volume.do("delete")

    for user, settings, text in (
        ("guest", ssh, "has to be in the group docker"),
        ("deploy", {**key, "host_key": "SHA256:other"}, "pinned is SHA256:other"),
        ("deploy", {"password": "wrong", "host_key": ssh["host_key"]}, "does not let deploy in"),
    ):
        refused = DockerNode("Volume", {"url": f"ssh://{user}@{address}", "ssh": settings}).run("create")
        assert refused.error is not None
        assert not refused.error["recoverable"], refused.error["message"]
        assert text in refused.error["message"]
