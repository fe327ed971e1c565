"""The agent of a user without root, by the user's own systemd: its operations are in scopes of their own."""

from __future__ import annotations

import pytest

from outrider.installer import Bundle
from tests.support.blueprint_hosts import FleetService
from tests.support.hosts import Host
from tests.support.installing import USER_PATHS, target_of
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(600)]
USER = "guest"
SYSTEMCTL = f"XDG_RUNTIME_DIR=/run/user/$(id -u {USER}) systemctl --user"
SCRIPT = "echo $$ > /var/tmp/pid; until test -e /var/tmp/go; do sleep 0.1; done; echo done"


def agent_pid(host: Host) -> str:
    """Return the main process of the agent's service; 0 if there is none."""
    command = f"su {USER} -c '{SYSTEMCTL} show -p MainPID --value outrider-agent'"
    return host.ask(command, check=False)


def test_operations_of_a_users_agent_go_on_while_it_is_started_anew(
    fleet_service: FleetService, host: Host, agent_bundle: Bundle
) -> None:
    host.run(f"loginctl enable-linger {USER}")
    fingerprint = str(target_of(host).host_keys.fingerprint)
    way = [f"{USER}@{host.address}", "--key", str(host.private_key), "--fingerprint", fingerprint]
    way += ["--id", "users-1", "--bundle", str(agent_bundle.path)]
    fleet_service.outrider("agent", "install", *way)
    pid = agent_pid(host)
    assert pid not in ("", "0")

    running = fleet_service.begin_command("exec", SCRIPT, "--on", "users-1")
    try:
        wait_until(lambda: host.exists("/var/tmp/pid") or running.poll() is not None, 60, "the operation to run")
        groups = host.ask("cat /proc/$(cat /var/tmp/pid)/cgroup")
        assert "outrider.slice/run-" in groups, groups
        assert "outrider-agent.service" not in groups
        host.run(f"su {USER} -c '{SYSTEMCTL} restart outrider-agent'")
        wait_until(lambda: agent_pid(host) not in ("", "0", pid), 60, "another process of the agent")
    finally:
        host.run("touch /var/tmp/go")
        running.wait(90)
    assert running.returncode == 0, (fleet_service.folder / "exec.log").read_text()

    fleet_service.outrider("agent", "uninstall", *way)
    assert [path for path in USER_PATHS if host.exists(f"/home/{USER}/{path}")] == []
    assert fleet_service.on_broker("users-1") == set()
