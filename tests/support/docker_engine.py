"""A Docker Engine for the tests: the machine's own if one runs, else a private one in a temporary folder.

The private engine has a bridge of its own, touches no rules of the machine's firewall but one, and is stopped by its
own process id. `tests/support/hosts.py` runs host containers on it; tests of the docker plugin may use it too.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import docker.errors
import pytest

from tests.support.certificates import make_certificates
from tests.support.ports import free_port
from tests.support.waiting import wait_until

NEEDED = ("dockerd", "containerd", "ip")
MACHINE_SOCKET = Path("/var/run/docker.sock")
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class TlsEndpoint:
    """A TCP address that takes clients with a certificate of its authority only."""

    url: str
    authority: Path
    certificate: Path
    key: Path


@dataclass(frozen=True)
class DockerEngine:
    """An engine that runs."""

    url: str
    #: The machine's address as containers see it.
    gateway: str
    #: Its other address, with TLS on both ends; None where the machine's own engine is used.
    tls: TlsEndpoint | None = None

    @property
    def private(self) -> bool:
        """Whether it was started by the tests."""
        return self.tls is not None

    def client(self) -> docker.DockerClient:
        """Return a new client; the caller closes it."""
        return docker.DockerClient(base_url=self.url, timeout=120)


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerEngine]:
    """Return a Docker Engine, a private one where none runs."""
    with docker_engine() as running:
        yield running


@contextlib.contextmanager
def docker_engine() -> Iterator[DockerEngine]:
    """Yield an engine; skips by name where none runs and none can be started."""
    running = _machine_engine()
    if running is not None:
        yield running
        return
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no Docker Engine runs, and to start one is missing: {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("no Docker Engine runs, and only root can start one")
    with _private_engine() as engine:
        yield engine


def _machine_engine() -> DockerEngine | None:
    if not MACHINE_SOCKET.exists() and "DOCKER_HOST" not in os.environ:
        return None
    url = os.environ.get("DOCKER_HOST", f"unix://{MACHINE_SOCKET}")
    try:
        client = docker.DockerClient(base_url=url, timeout=10)
        try:
            client.ping()
            config = client.networks.get("bridge").attrs["IPAM"]["Config"][0]
        finally:
            client.close()
    except (docker.errors.DockerException, OSError):
        return None
    gateway = config.get("Gateway") or str(next(ipaddress.ip_network(config["Subnet"]).hosts()))
    return DockerEngine(url=url, gateway=gateway)


@contextlib.contextmanager
def _private_engine() -> Iterator[DockerEngine]:
    folder = Path(tempfile.mkdtemp(prefix="outrider-engine-"))
    bridge = f"otr{os.getpid()}"
    network = _free_network()
    gateway = str(next(network.hosts()))
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        _make_bridge(bridge, f"{gateway}/{network.prefixlen}", cleanup)
        url = f"unix://{folder}/docker.sock"
        tls = TlsEndpoint(f"https://localhost:{free_port()}", *make_certificates(folder))
        command = [
            "dockerd",
            *("--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")),
            *("-H", url, "-H", tls.url.replace("https", "tcp"), "--tlsverify"),
            *("--tlscacert", str(tls.authority), "--tlscert", str(tls.certificate), "--tlskey", str(tls.key)),
            *("--pidfile", str(folder / "pid"), "--bridge", bridge),
            *("--config-file", _empty_config(folder)),
            # The hosts need no way out; the machine's own rules stay as they are.
            *("--iptables=false", "--ip6tables=false", "--ip-masq=false"),
        ]
        log = cleanup.enter_context((folder / "log").open("wb"))
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=_end_with_us,  # noqa: PLW1509 - one call of the kernel, which takes no lock
        )
        cleanup.callback(_stop, process)
        _wait_for_engine(url, process, folder / "log")
        yield DockerEngine(url=url, gateway=gateway, tls=tls)


def _end_with_us() -> None:
    """Have the engine end, with its containers, also when the test run is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _empty_config(folder: Path) -> str:
    path = folder / "daemon.json"
    path.write_text("{}", encoding="utf-8")
    return str(path)


def _free_network() -> ipaddress.IPv4Network:
    """Return a private network that no interface of this machine uses."""
    shown = subprocess.run(["ip", "-json", "-4", "address"], capture_output=True, check=True, text=True)
    used = [
        ipaddress.ip_network(f"{entry['local']}/{entry['prefixlen']}", strict=False)
        for interface in json.loads(shown.stdout)
        for entry in interface["addr_info"]
    ]
    # Different processes begin at different places, so that two that start at once do not meet.
    for step in range(200):
        candidate = ipaddress.IPv4Network(f"172.30.{(os.getpid() + step * 7) % 250}.0/24")
        if not any(candidate.overlaps(network) for network in used):
            return candidate
    pytest.skip("no free private network for the tests' Docker Engine")


def _make_bridge(name: str, address: str, cleanup: contextlib.ExitStack) -> None:
    def run(*command: str, check: bool = True) -> None:
        subprocess.run(command, check=check, capture_output=True)

    run("ip", "link", "add", name, "type", "bridge")
    cleanup.callback(run, "ip", "link", "delete", name, check=False)
    run("ip", "address", "add", address, "dev", name)
    run("ip", "link", "set", name, "up")
    if shutil.which("iptables"):
        # Another engine on this machine may have set the policy of FORWARD to DROP; hosts talk to each other.
        rule = ("FORWARD", "-i", name, "-o", name, "-j", "ACCEPT")
        run("iptables", "-I", *rule, check=False)
        cleanup.callback(run, "iptables", "-D", *rule, check=False)


def _wait_for_engine(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    # By hand, not with the client: that one leaves sockets open where nobody listens yet.
    address = url.removeprefix("unix://")

    def answers() -> bool:
        if process.poll() is not None:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
            pytest.skip(f"dockerd does not start here:\n{tail}")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(5)
            try:
                connection.connect(address)
                connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b" 200 " in connection.recv(100)
            except OSError:
                return False

    wait_until(answers, 40, "the private Docker Engine to answer")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the engine; it ends its containerd itself."""
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=10)
