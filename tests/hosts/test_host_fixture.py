"""The hosts of the tests are what the tests take them for."""

from __future__ import annotations

import socket

import paramiko
import pytest

from tests.support.hosts import PASSWORDS, Host, StartHost

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(400)]


def test_a_host_has_systemd_a_bare_python_and_an_address(host: Host) -> None:
    assert host.ask("cat /proc/1/comm") == "systemd"
    assert host.run("python3 -c 'import pip'", check=False).code != 0
    assert host.run("python3 -c 'import ensurepip'", check=False).code != 0
    with paramiko.SSHClient() as client:
        client.get_host_keys().add(host.address, "ssh-ed25519", host.host_key())
        client.connect(
            host.address, username="admin", password=PASSWORDS["admin"], look_for_keys=False, allow_agent=False
        )
        _, stdout, _ = client.exec_command("id -un")
        assert stdout.read().decode().strip() == "admin"


def test_a_reboot_keeps_address_and_disk_and_empties_run(host: Host) -> None:
    host.run("touch /root/kept /run/gone")
    boot = host.ask("stat -c %Y /proc/1")
    host.reboot()
    assert host.exists("/root/kept")
    assert not host.exists("/run/gone")
    assert host.ask("stat -c %Y /proc/1") != boot


def test_network_cuts_end_with_restore(host: Host) -> None:
    host.cut_network()
    with pytest.raises(OSError, match="timed out"):
        socket.create_connection((host.address, 22), timeout=1)
    host.restore_network()
    socket.create_connection((host.address, 22), timeout=5).close()


def test_a_host_without_systemd_has_sshd_only(start_host: StartHost) -> None:
    host = start_host(systemd=False)
    assert host.run("test -d /run/systemd/system", check=False).code != 0
