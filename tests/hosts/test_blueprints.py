"""Blueprints that bring agents onto hosts: `install` to `uninstall`, on a real host, over a real broker."""

from __future__ import annotations

import pytest

from tests.support.blueprint_hosts import FleetService
from tests.support.hosts import Host
from tests.support.installing import SYSTEM_PATHS, target_of

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

    installed = fleet_service.run(blueprint, clean_host)

    assert installed["outputs"]["ran_on"] == clean_host.ask("hostname")
    assert clean_host.read("/var/tmp/greeting") == "hello"
    agent = installed["outputs"]["agent"]
    assert agent["install_method"] == "remote"
    assert fleet_service.knows(agent["name"])
    assert "slots = 3" in clean_host.read("/etc/outrider/agent.toml")
    validated = fleet_service.run(blueprint, workflow="validate_agents")
    assert validated["status"] == "terminated"

    fleet_service.run(blueprint, workflow="uninstall")

    assert not clean_host.exists("/var/tmp/greeting")
    assert [path for path in SYSTEM_PATHS if clean_host.exists(path)] == []
    assert fleet_service.on_broker(agent["name"]) == set()
    assert not fleet_service.knows(agent["name"])
