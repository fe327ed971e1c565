"""Real hosts for tests: containers with systemd, sshd and addresses of their own.

Fixtures: `host_image`, `start_host` (makes hosts, of any variant), `host` (one host of the test's own) and `clean_host`
(the run's one host, without an agent); they need `engine` of `docker_engine.py`.
A test folder takes them by importing them in its conftest.
"""

from __future__ import annotations

import base64
import contextlib
import io
import os
import shlex
import socket
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import paramiko
import pytest

from tests.support.docker_engine import DockerEngine
from tests.support.host_image import ensure_host_image
from tests.support.waiting import wait_until

# The reaper container would have to be pulled; the fixtures stop what they start.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
from testcontainers.core.container import DockerContainer

#: The accounts of the image, with their passwords.
PASSWORDS = {
    "root": "root-pass",
    "deploy": "deploy-pass",
    "admin": "admin-pass",
    "guest": "guest-pass",
}
#: How often a question to a host is put, and what its complete answer begins and ends with.
ATTEMPTS = 5
MARK = "END-OF-ANSWER"
#: What takes an agent away by force, for the next test; each part may have nothing to do.
WIPE = """
umount /opt
systemctl disable --now outrider-agent.service
systemctl stop outrider.slice
systemctl reset-failed
rm -rf /opt/outrider /etc/outrider /var/lib/outrider /etc/systemd/system/outrider-agent.service
rm -rf /root/.cache /home/*/.cache /tmp/left
systemctl daemon-reload
"""
WITHOUT_SYSTEMD = "ssh-keygen -A && mkdir -p /run/sshd && exec /usr/sbin/sshd -D"


@dataclass(frozen=True)
class Answer:
    """What a command in a host gave."""

    code: int
    output: str


@dataclass
class Host:
    """One host that runs. Its commands go through the engine, so they work also when its network is cut."""

    container: DockerContainer
    address: str
    #: The machine that the tests run on, as this host sees it.
    gateway: str
    systemd: bool
    private_key: Path
    _rules: list[str] = field(default_factory=list)

    def run(self, command: str, *, user: str = "root", check: bool = True) -> Answer:
        """Run a shell command on the host."""
        wrapped = self.container.get_wrapped_container()
        code, output = wrapped.exec_run(["sh", "-c", command], user=user)
        answer = Answer(code, output.decode(errors="replace"))
        assert not check or code == 0, f"{command!r} on {self.address} gave {code}: {answer.output}"
        return answer

    def ask(self, command: str, *, check: bool = True) -> str:
        """Return what a command prints, without blanks around it. It must change nothing: it may be run again."""
        # The engine loses output of a command that ends at once, now and then, all of it or its beginning; marks tell.
        for _ in range(ATTEMPTS):
            answer = self.run(f"printf {MARK}; {command}; code=$?; printf {MARK}; exit $code", check=False)
            if answer.output.startswith(MARK) and answer.output.endswith(MARK) and answer.output != MARK:
                assert not check or answer.code == 0, f"{command!r} on {self.address} gave {answer}"
                return answer.output[len(MARK) : -len(MARK)].strip()
        raise AssertionError(f"no whole answer to {command!r} from {self.address}, {ATTEMPTS} times: {answer}")

    def exists(self, path: str) -> bool:
        """Tell whether a file, folder or link is there."""
        return self.run(f"test -e {shlex.quote(path)} || test -L {shlex.quote(path)}", check=False).code == 0

    def read(self, path: str) -> str:
        """Return a file's text."""
        return self.ask(f"cat {shlex.quote(path)}")

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        """Write a small file."""
        self.run(f"printf %s {shlex.quote(text)} > {shlex.quote(path)} && chmod {mode:o} {shlex.quote(path)}")

    def put(self, path: str, data: bytes) -> None:
        """Write a file of any kind."""
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            member = tarfile.TarInfo(Path(path).name)
            member.size, member.mode = len(data), 0o755
            tar.addfile(member, io.BytesIO(data))
        assert self.container.get_wrapped_container().put_archive(str(Path(path).parent), stream.getvalue())

    def authorize(self, user: str, public_key: str) -> None:
        """Let the holder of a key log in."""
        home = "/root" if user == "root" else f"/home/{user}"
        self.run(
            f"install -d -m 700 -o {user} {home}/.ssh && printf '%s\\n' {shlex.quote(public_key)} "
            f">> {home}/.ssh/authorized_keys && chown {user} {home}/.ssh/authorized_keys"
        )

    def host_key(self) -> paramiko.PKey:
        """Return the public key that the host shows now."""
        text = self.read("/etc/ssh/ssh_host_ed25519_key.pub").split()
        return paramiko.Ed25519Key(data=base64.b64decode(text[1]))

    def change_host_keys(self) -> None:
        """Give the host other keys, as a reinstalled machine has."""
        self.run("rm -f /etc/ssh/ssh_host_* && ssh-keygen -A && systemctl restart ssh")
        self._wait_for_sshd()

    def reboot(self) -> None:
        """Restart the machine: all processes end, `/run` and `/tmp` are empty afterwards."""
        wrapped = self.container.get_wrapped_container()
        wrapped.restart(timeout=20)
        self._rules.clear()
        wrapped.reload()
        address = _address(self.container)
        assert address == self.address, f"the host came back with another address: {address}, was {self.address}"
        self.wait_until_up()

    def cut_network(self) -> None:
        """Drop everything to and from the host, silently."""
        self._add_rules("INPUT ! -i lo -j DROP", "OUTPUT ! -o lo -j DROP")

    def cut_port(self, port: int) -> None:
        """Drop what the host sends to a port elsewhere."""
        self._add_rules(f"OUTPUT -p tcp --dport {port} -j DROP")

    def restore_network(self) -> None:
        """Undo all cuts."""
        while self._rules:
            self.run(f"iptables -D {self._rules.pop()}")

    def cut_ssh(self) -> None:
        """End all SSH sessions at once, as when the line breaks; new ones are possible."""
        # Sessions only (`sshd: root@notty`, `sshd: root [priv]`): the listener goes on.
        self.run("for pid in $(pgrep -f '^sshd: [a-z]+[@ ]' || true); do kill -9 $pid; done", check=False)

    def fill_disk(self, path: str, *, size: str = "4m") -> None:
        """Mount a small, full file system at a folder."""
        quoted = shlex.quote(path)
        self.run(f"mkdir -p {quoted} && mount -t tmpfs -o size={size} tmpfs {quoted}")
        self.run(f"dd if=/dev/zero of={quoted}/filler bs=64k 2>/dev/null", check=False)

    def empty_disk(self, path: str) -> None:
        """Undo `fill_disk`."""
        self.run(f"umount {shlex.quote(path)}")

    def wipe(self) -> None:
        """Undo cuts and take a system agent away by force."""
        self.restore_network()
        self.run(WIPE, check=False)
        assert not self.exists("/opt/outrider"), f"{self.address} still has an agent"

    def wait_until_up(self) -> None:
        """Wait until sshd answers and, where there is systemd, the system has started."""
        if self.systemd:
            wait_until(self._system_state, 60, f"systemd on {self.address} to be up")
        self._wait_for_sshd()

    def _system_state(self) -> bool:
        # Not `ask`: early in a boot the engine cannot even run the command, and this is asked again anyway.
        state = self.run("systemctl is-system-running 2>&1", check=False).output.strip()
        return state in {"running", "degraded"}

    def _wait_for_sshd(self) -> None:
        def answers() -> bool:
            try:
                with socket.create_connection((self.address, 22), timeout=2) as connection:
                    return connection.recv(4) == b"SSH-"
            except OSError:
                return False

        wait_until(answers, 30, f"sshd on {self.address} to answer")

    def _add_rules(self, *rules: str) -> None:
        for rule in rules:
            self.run(f"iptables -I {rule}")
            self._rules.append(rule)


NO_FILES: Mapping[str, str] = {}


class StartHost(Protocol):
    """Start a host; it is removed when the test ends. `files` of the machine appear in it: path there → path here."""

    def __call__(self, *, systemd: bool = True, files: Mapping[str, str] = NO_FILES) -> Host: ...


@pytest.fixture(scope="session")
def host_image(engine: DockerEngine) -> str:
    """Return the name of the hosts' image."""
    client = engine.client()
    try:
        return ensure_host_image(client)
    finally:
        client.close()


@pytest.fixture(scope="session")
def host_login_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a private key that every account of every host takes."""
    path = tmp_path_factory.mktemp("login") / "id_ecdsa"
    paramiko.ECDSAKey.generate().write_private_key_file(str(path))
    return path


@pytest.fixture
def start_host(engine: DockerEngine, host_image: str, host_login_key: Path) -> Iterator[StartHost]:
    """Return a function that starts hosts."""
    with running_hosts(engine, host_image, host_login_key) as start:
        yield start


@pytest.fixture
def host(start_host: StartHost) -> Host:
    """Return a host that has just booted, for tests that change the system itself."""
    return start_host()


@pytest.fixture(scope="session")
def shared_host(engine: DockerEngine, host_image: str, host_login_key: Path) -> Iterator[Host]:
    """Return the run's one host for all tests that leave the system as it is; they take it as `clean_host`."""
    with running_hosts(engine, host_image, host_login_key) as start:
        yield start()


@pytest.fixture
def clean_host(shared_host: Host) -> Iterator[Host]:
    """Return a host without an agent."""
    yield shared_host
    shared_host.wipe()


@contextlib.contextmanager
def running_hosts(engine: DockerEngine, image: str, login_key: Path) -> Iterator[StartHost]:
    """Yield a function that starts hosts; they are removed with the block."""
    started: list[DockerContainer] = []

    def start(*, systemd: bool = True, files: Mapping[str, str] = NO_FILES) -> Host:
        container = _container(engine, image, systemd=systemd)
        for there, here in files.items():
            container.with_volume_mapping(here, there, "rw")
        started.append(container)
        container.start()
        container.get_wrapped_container().reload()
        host = Host(container, _address(container), engine.gateway, systemd, login_key)
        host.wait_until_up()
        key = paramiko.ECDSAKey.from_private_key_file(str(login_key))
        for user in PASSWORDS:
            host.authorize(user, f"{key.get_name()} {key.get_base64()}")
        return host

    try:
        yield start
    finally:
        for container in started:
            client = container.get_docker_client().client
            container.stop()
            client.close()


def _container(engine: DockerEngine, image: str, *, systemd: bool) -> DockerContainer:
    container = DockerContainer(image, docker_client_kw={"environment": {"DOCKER_HOST": engine.url}, "timeout": 120})
    container.with_command(["/sbin/init"] if systemd else ["sh", "-c", WITHOUT_SYSTEMD])
    container.with_volume_mapping("/sys/fs/cgroup", "/sys/fs/cgroup", "rw")
    for folder in ("/run", "/run/lock", "/tmp"):
        container.with_tmpfs_mount(folder)
    return container.with_kwargs(
        cap_add=["SYS_ADMIN", "NET_ADMIN"],
        security_opt=["seccomp=unconfined", "apparmor=unconfined"],
        cgroupns="host",
        # Without systemd something has to reap what daemons leave behind.
        init=not systemd,
        stop_signal="SIGRTMIN+3" if systemd else "SIGTERM",
    )


def _address(container: DockerContainer) -> str:
    settings = container.get_wrapped_container().attrs["NetworkSettings"]
    return str(settings["IPAddress"] or next(iter(settings["Networks"].values()))["IPAddress"])
