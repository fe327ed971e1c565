"""Blueprints that bring agents onto hosts: `install` to `uninstall`, on a real host, over a real broker."""

from __future__ import annotations

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from outrider.installer import Bundle
from tests.support.blueprint_hosts import FleetService
from tests.support.hosts import Host
from tests.support.installing import SYSTEM_PATHS, service_pid, target_of
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(600)]
#: The interface with the operations of a host's agent.
AGENT = "cloudify.interfaces.cloudify_agent"


def fingerprint_of(host: Host) -> str:
    """Return the fingerprint of a host's key."""
    return str(target_of(host).host_keys.fingerprint)


def password_in(configuration: str) -> str:
    """Return an agent's password at the broker."""
    found = re.search(r"outrider-agent-[^:]+:([^@]+)@", configuration)
    assert found, configuration
    return found[1]


def test_a_blueprints_host_gets_its_agent_over_ssh_and_is_clean_after_uninstall(
    fleet_service: FleetService, clean_host: Host
) -> None:
    key = clean_host.private_key.read_text()
    fleet_service.set_secret("vm_key", key)
    config = {
        "install_method": "remote",
        "user": "root",
        "key": {"get_secret": "vm_key"},
        "max_workers": 3,
        "extra": {"accept_new_host_key": True},
    }
    blueprint = fleet_service.blueprint("remote", config)

    installed = fleet_service.run(blueprint, address=clean_host.address)

    assert installed["outputs"]["ran_on"] == clean_host.ask("hostname")
    assert clean_host.read("/var/tmp/greeting") == "hello"
    agent = installed["outputs"]["agent"]
    assert agent["install_method"] == "remote"
    assert agent["host_key"] == fingerprint_of(clean_host)
    assert fleet_service.knows(agent["name"])
    configuration = clean_host.read("/etc/outrider/agent.toml")
    assert "slots = 3" in configuration

    fleet_service.run(blueprint, "validate_agents")
    fleet_service.run(blueprint, "install_new_agents")
    assert clean_host.read("/etc/outrider/agent.toml") != configuration
    pid = service_pid(clean_host)
    fleet_service.run(blueprint, "execute_operation", operation=f"{AGENT}.restart", node_ids=["vm"])
    assert service_pid(clean_host) not in (0, pid)

    for secret in (key.splitlines()[2], password_in(configuration), fleet_service.node.password):
        kept = [str(path) for path, data in fleet_service.everything_kept() if secret.encode() in data]
        assert kept == []

    fleet_service.run(blueprint, "uninstall")

    assert not clean_host.exists("/var/tmp/greeting")
    assert [path for path in SYSTEM_PATHS if clean_host.exists(path)] == []
    assert fleet_service.on_broker(agent["name"]) == set()
    assert not fleet_service.knows(agent["name"])


def test_a_host_that_is_not_up_or_refuses_the_key_is_named_and_a_resume_goes_on(
    fleet_service: FleetService, clean_host: Host, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True, timeout=30)
    fleet_service.set_secret("other_key", other.read_text())
    extra = {"host_key": fingerprint_of(clean_host), "wait_for_ssh": 1}
    config = {"install_method": "remote", "user": "root", "key": {"get_secret": "other_key"}, "extra": extra}
    blueprint = fleet_service.blueprint("broken", config)

    clean_host.run("systemctl stop ssh.socket ssh", check=False)
    try:
        down = fleet_service.run(blueprint, address=clean_host.address, code=1)
    finally:
        clean_host.run("systemctl start ssh")
    clean_host.wait_until_up()
    assert f"{clean_host.address} does not answer SSH on port 22" in down["error"]

    refused = fleet_service.resume(down["id"], code=1)
    assert f"root@{clean_host.address}: step connect failed" in refused["error"]
    assert "authorized_keys" in refused["error"]
    assert other.read_text().splitlines()[2] not in refused["error"]

    fleet_service.set_secret("other_key", clean_host.private_key.read_text())
    assert fleet_service.resume(down["id"])["status"] == "terminated"
    assert clean_host.read("/var/tmp/greeting") == "hello"
    agent = fleet_service.run(blueprint, "validate_agents")["outputs"]["agent"]["name"]

    # Out of reach for good: the agent cannot be removed, and loses its account all the same.
    clean_host.run("systemctl stop ssh.socket ssh", check=False)
    try:
        ended = fleet_service.run(blueprint, "uninstall", ignore_failure=True)
    finally:
        clean_host.run("systemctl start ssh")
    clean_host.wait_until_up()
    assert ended["status"] == "terminated"
    assert fleet_service.on_broker(agent) == set()


def test_a_provided_agent_is_used_and_stays(
    fleet_service: FleetService, clean_host: Host, agent_bundle: Bundle
) -> None:
    way = [f"root@{clean_host.address}", "--key", str(clean_host.private_key), "--id", "provided-1"]
    way += ["--fingerprint", fingerprint_of(clean_host), "--bundle", str(agent_bundle.path)]
    fleet_service.outrider("agent", "install", *way)
    config = {"install_method": "provided", "service_name": "provided-1"}
    blueprint = fleet_service.blueprint("provided", config)

    installed = fleet_service.run(blueprint, address=clean_host.address)
    assert installed["outputs"]["ran_on"] == clean_host.ask("hostname")
    assert installed["outputs"]["agent"]["name"] == "provided-1"

    fleet_service.run(blueprint, "install_new_agents")
    # Its name, and with it its account, is not to be had by another deployment; nor does that one's end take it away.
    fleet_service.set_secret("vm_key", clean_host.private_key.read_text())
    extra = {"host_key": fingerprint_of(clean_host)}
    config = {"install_method": "remote", "service_name": "provided-1", "key": {"get_secret": "vm_key"}, "extra": extra}
    thief = fleet_service.blueprint("thief", config)
    refused = fleet_service.run(thief, address=clean_host.address, code=1)
    assert "the name 'provided-1' is that of another host's agent" in refused["error"]
    fleet_service.run(thief, "uninstall")

    fleet_service.run(blueprint, "uninstall")
    assert service_pid(clean_host)
    assert not clean_host.exists("/var/tmp/greeting")
    assert "outrider-agent-provided-1" in fleet_service.on_broker("provided-1")
    fleet_service.outrider("agent", "uninstall", *way)


def test_a_host_brings_its_agent_by_user_data_and_is_clean_after_uninstall(
    fleet_service: FleetService, clean_host: Host
) -> None:
    blueprint = fleet_service.blueprint("scripted", {"install_method": "init_script", "max_workers": 2})
    user_data = blueprint.parent / "user-data"

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(fleet_service.run, blueprint, address=clean_host.address)
        wait_until(lambda: user_data.exists() or running.done(), 120, "the user data of the host")
        assert user_data.exists(), running.result()
        clean_host.write("/var/tmp/user-data", user_data.read_text(), mode=0o700)
        # As cloud-init does on the first boot: as root, with next to nothing in the environment.
        booted = clean_host.run("env -i /var/tmp/user-data", check=False)
        assert booted.code == 0, booted.output
        installed = running.result()

    assert installed["outputs"]["ran_on"] == clean_host.ask("hostname")
    agent = installed["outputs"]["agent"]["name"]
    configuration = clean_host.read("/etc/outrider/agent.toml")
    assert "slots = 2" in configuration
    password = password_in(configuration).encode()
    kept = [str(path) for path, data in fleet_service.everything_kept() if password in data]
    assert kept == []
    again = clean_host.run("env -i /var/tmp/user-data", check=False)
    assert again.code != 0
    assert "reports already" in again.output

    pid = service_pid(clean_host)
    fleet_service.run(blueprint, "execute_operation", operation=f"{AGENT}.restart_amqp", node_ids=["vm"])
    wait_until(lambda: service_pid(clean_host) not in (0, pid), 30, "another process of the agent")

    with fleet_service.offering("9.2.0"):
        fleet_service.run(blueprint, "install_new_agents")
    assert clean_host.ask("readlink /opt/outrider/agent/current") == "versions/9.2.0"
    assert clean_host.read("/etc/outrider/agent.toml") == configuration
    assert fleet_service.run(blueprint, "validate_agents")["outputs"]["agent"]["version"] == "9.2.0"

    fleet_service.run(blueprint, "uninstall")

    wait_until(lambda: not clean_host.exists("/var/lib/outrider"), 60, "the agent to leave its host")
    assert [path for path in SYSTEM_PATHS if clean_host.exists(path)] == []
    assert clean_host.ask("ls -d /var/tmp/outrider-removal-* 2>/dev/null || true") == ""
    assert fleet_service.on_broker(agent) == set()
    assert not fleet_service.knows(agent)
