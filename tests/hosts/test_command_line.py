"""From a bare host to an operation on it and back, with nothing but the command: broker, install, exec, uninstall."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from outrider.installer import Bundle
from outrider.plugins.ssh.access.hostkeys import fingerprint
from tests.support.agent_bundles import UNABLE, variant
from tests.support.blueprint_hosts import FleetService
from tests.support.hosts import Host, StartHost
from tests.support.installing import service_pid

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(600)]

VHOST = "command"
Outrider = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def outrider(fleet_service: FleetService, tmp_path: Path) -> Outrider:
    """Run the command with a home and a virtual host of its own, at the broker of the run."""
    environment = {
        **fleet_service.environment,
        # Of the command's known_hosts.
        "HOME": str(tmp_path),
        "OUTRIDER_HOME": str(tmp_path / "home"),
        "OUTRIDER_BROKER_URLS": fleet_service.node.url_of(VHOST),
        "OUTRIDER_HOSTS_BROKER_URLS": f"{fleet_service.hosts_address}/{VHOST}",
    }

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "outrider.cli", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == code, f"{' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done

    return run


def test_a_host_gets_an_agent_runs_an_operation_and_is_clean_again(
    outrider: Outrider, fleet_service: FleetService, clean_host: Host, agent_bundle: Bundle, tmp_path: Path
) -> None:
    def agent_and_account() -> tuple[int, object]:
        return service_pid(host), fleet_service.node.management.password_hash(f"outrider-agent-{agent_id}")

    host = clean_host
    way = [f"root@{host.address}", "--key", str(host.private_key), "--fingerprint", fingerprint(host.host_key())]
    bundle = ["--bundle", str(agent_bundle.path)]
    agent_id = host.address.replace(".", "-")
    missing = outrider("broker", "check", code=5)
    assert VHOST in missing.stderr
    outrider("broker", "setup")
    assert "everything that Outrider needs is there" in outrider("broker", "check").stdout
    assert "Python" in outrider("agent", "doctor", *way, *bundle).stdout

    installed = outrider("agent", "install", *way, *bundle)
    assert "an agent runs on 1 of 1 host" in installed.stdout
    assert "heartbeat" in installed.stderr
    assert f"its agent {agent_id}: active" in outrider("agent", "doctor", *way, *bundle).stdout
    before = agent_and_account()
    assert "an agent runs on 1 of 1 host" in outrider("agent", "install", *way, *bundle).stdout
    assert agent_and_account() == before

    done = outrider("exec", "hostname; ctx returns $(hostname)", "--on", agent_id, "--json")
    assert json.loads(done.stdout)["value"] == host.ask("hostname")

    everywhere = outrider("exec", "hostname; exit 3", "--all", code=1)
    assert f"{agent_id}  {host.ask('hostname')}" in everywhere.stdout
    assert [line.split()[:3] for line in everywhere.stdout.splitlines()][-1] == [agent_id, "failed", "3"]

    assert "its lease ends in" in outrider("agent", "show", agent_id).stdout
    assert "taking tasks from" in outrider("agent", "logs", agent_id).stdout
    assert "taking tasks from" in outrider("agent", "logs", "--ssh", *way, *bundle).stdout
    assert "is drained" in outrider("agent", "drain", agent_id).stdout
    assert "takes operations again" in outrider("agent", "drain", agent_id, "--undo").stdout
    upgraded = outrider("agent", "upgrade", "--all", *bundle)
    assert "had it already" in upgraded.stdout
    assert "1 of 1 agents run the bundle's version" in upgraded.stdout

    active = host.ask("readlink /opt/outrider/agent/current")
    unable = variant(agent_bundle, tmp_path, version="9.4.0", agent_main=UNABLE)
    rolled_back = outrider("agent", "upgrade", *way, "--bundle", str(unable.path), code=1)
    assert "the test operation failed" in rolled_back.stderr
    assert "this build can run nothing" in rolled_back.stderr
    assert host.ask("readlink /opt/outrider/agent/current") == active
    able = variant(agent_bundle, tmp_path, version="9.5.0")
    assert "upgraded 1 of 1 host" in outrider("agent", "upgrade", *way, "--bundle", str(able.path)).stdout
    assert host.ask("readlink /opt/outrider/agent/current") == "versions/9.5.0"
    assert agent_and_account()[1] == before[1]

    outrider("agent", "uninstall", *way, *bundle)
    assert not host.exists("/opt/outrider")
    assert not host.exists("/etc/outrider")


def test_a_fleet_is_tried_again_where_it_failed_and_nowhere_else(
    outrider: Outrider, clean_host: Host, start_host: StartHost, agent_bundle: Bundle
) -> None:
    good, refusing = clean_host, start_host()
    keys = "/root/.ssh/authorized_keys"
    refusing.run(f"mv {keys} {keys}.aside")
    # Nobody listens there, and nobody will.
    down = f"root@{good.gateway}:1"
    install = ["agent", "install", f"root@{good.address}", f"root@{refusing.address}", down]
    options = ["--key", str(good.private_key), "--accept-new-host-keys", "--bundle", str(agent_bundle.path)]
    outrider("broker", "setup")

    first = outrider(*install, *options, code=1)
    assert "an agent runs on 1 of 3 hosts" in first.stdout
    causes = first.stdout[first.stdout.index("failed because") :]
    assert "login refused" in causes
    assert "host unreachable" in causes
    assert "authorized_keys" in causes
    assert "--retry-failed" in causes
    assert f"root@{refusing.address}: step connect failed" in first.stderr
    pid = service_pid(good)
    assert pid

    refusing.run(f"mv {keys}.aside {keys}")
    mended = outrider(*install[:-1], *options, "--retry-failed")
    assert "an agent runs on 1 of 1 host" in mended.stdout
    assert good.address not in mended.stdout + mended.stderr
    assert service_pid(good) == pid

    # What was not among the hosts of that run is still to be tried again; another command has a list of its own.
    last = outrider("agent", "install", *options, "--retry-failed", code=1)
    assert "an agent runs on 0 of 1 host" in last.stdout
    assert down in last.stderr
    outrider("agent", "uninstall", *options, "--retry-failed", code=2)
    outrider("agent", "uninstall", *install[2:-1], *options)
    assert not refusing.exists("/opt/outrider")


def test_a_host_that_refuses_the_key_is_named_with_a_remedy(
    outrider: Outrider, clean_host: Host, tmp_path: Path
) -> None:
    host = clean_host
    outrider("broker", "setup")
    key = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, timeout=30)
    way = [f"root@{host.address}", "--key", str(key), "--fingerprint", fingerprint(host.host_key())]
    refused = outrider("agent", "uninstall", *way, code=1)
    assert host.address in refused.stderr
    assert "0 of 1 host" in refused.stdout
