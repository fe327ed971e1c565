"""Blueprints that bring agents onto hosts: `install` to `uninstall`, on a real host, over a real broker."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.blueprint_hosts import FleetService
from tests.support.hosts import Host
from tests.support.installing import SYSTEM_PATHS, target_of
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(400)]


def fingerprint_of(host: Host) -> str:
    """Return the fingerprint of a host's key."""
    return str(target_of(host).host_keys.fingerprint)


def test_a_blueprints_host_gets_its_agent_over_ssh_and_is_clean_after_uninstall(
    fleet_service: FleetService, clean_host: Host
) -> None:
    fleet_service.outrider("secret", "set", "vm_key", "--file", str(clean_host.private_key))
    config = {
        "install_method": "remote",
        "user": "root",
        "key": {"get_secret": "vm_key"},
        "max_workers": 3,
        "extra": {"host_key": fingerprint_of(clean_host)},
    }
    blueprint = fleet_service.blueprint("remote", config)

    installed = fleet_service.run(blueprint, address=clean_host.address)

    assert installed["outputs"]["ran_on"] == clean_host.ask("hostname")
    assert clean_host.read("/var/tmp/greeting") == "hello"
    agent = installed["outputs"]["agent"]
    assert agent["install_method"] == "remote"
    assert fleet_service.knows(agent["name"])
    assert "slots = 3" in clean_host.read("/etc/outrider/agent.toml")
    validated = fleet_service.run(blueprint, "validate_agents")
    assert validated["status"] == "terminated"

    fleet_service.run(blueprint, "uninstall")

    assert not clean_host.exists("/var/tmp/greeting")
    assert [path for path in SYSTEM_PATHS if clean_host.exists(path)] == []
    assert fleet_service.on_broker(agent["name"]) == set()
    assert not fleet_service.knows(agent["name"])


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
    password = re.search(f"outrider-agent-{agent}:([^@]+)@", configuration)
    assert password, configuration
    kept = [str(path) for path, data in fleet_service.everything_kept() if password[1].encode() in data]
    assert kept == []
    again = clean_host.run("env -i /var/tmp/user-data", check=False)
    assert again.code != 0
    assert "reports already" in again.output

    fleet_service.run(blueprint, "uninstall")

    wait_until(lambda: not clean_host.exists("/var/lib/outrider"), 60, "the agent to leave its host")
    assert [path for path in SYSTEM_PATHS if clean_host.exists(path)] == []
    assert clean_host.ask("ls -d /var/tmp/outrider-removal-* 2>/dev/null || true") == ""
    assert fleet_service.on_broker(agent) == set()
    assert not fleet_service.knows(agent)
