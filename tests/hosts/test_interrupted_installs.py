"""The central agent, the dispatcher, or their machine dies in the middle of an installation by the workflow `install`.

Afterwards there is one working agent, and nothing half-done: no second account or queue, no second version or service.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import pytest

from outrider.dispatcher.store.executions import Execution
from tests.support.blueprint_hosts import FleetService
from tests.support.hosts import Host
from tests.support.installing import SYSTEM_PATHS, service_pid, target_of
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(600)]
#: `make faults` sets it to ``all``: each moment with each victim.
WHOLE = os.environ.get("OUTRIDER_FAULTS") == "all"
#: What is there from a moment on: the agent's account; a folder of its version; its configuration, the service to come.
ACCOUNT, VERSION, CONFIGURATION = "the account", "the version's folder", "the configuration"
MOMENTS = (ACCOUNT, VERSION, CONFIGURATION)
#: Who dies: the process of the agent; also all that its operations run; the dispatcher that sequences the workflow.
AGENT, MACHINE, DISPATCHER = "the central agent", "the machine of the central agent", "the dispatcher"
SAMPLE = [(MACHINE, CONFIGURATION), (DISPATCHER, VERSION)]
CASES = [(victim, moment) for victim in (AGENT, MACHINE, DISPATCHER) for moment in MOMENTS] if WHOLE else SAMPLE


@pytest.mark.parametrize(("victim", "moment"), CASES)
def test_an_installation_that_is_interrupted_ends_with_one_working_agent(
    fleet_service: FleetService, clean_host: Host, victim: str, moment: str
) -> None:
    name = f"interrupted-{CASES.index((victim, moment))}"
    fleet_service.set_secret("vm_key", clean_host.private_key.read_text())
    config = {
        "install_method": "remote",
        "service_name": name,
        "key": {"get_secret": "vm_key"},
        "extra": {"host_key": str(target_of(clean_host).host_keys.fingerprint)},
    }
    # A machine that died took its attempt along.
    blueprint = fleet_service.blueprint(name, config, tries=5)
    before = set(fleet_service.node.management.users())
    dispatcher = fleet_service.begin(blueprint, address=clean_host.address)
    try:
        come = reached(fleet_service, clean_host, name)[moment]
        wait_until(lambda: come() or dispatcher.poll() is not None, 120, f"{moment} of the agent")
        assert dispatcher.poll() is None, (fleet_service.folder / "run.log").read_text()
        if victim == DISPATCHER:
            dispatcher.kill()
            dispatcher.wait(30)
        else:
            fleet_service.kill_service(operations_too=victim == MACHINE)
            fleet_service.start_service()
        wait_until(lambda: ended(fleet_service, name) is not None, 240, "the execution to end")
    finally:
        end(dispatcher)
    (execution,) = fleet_service.executions(name)
    assert execution.status.value == "terminated", execution.error
    assert clean_host.read("/var/tmp/greeting") == "hello"

    queues = {f"outrider.agent.{name}", f"outrider.agent.{name}.control"}
    assert fleet_service.on_broker(name) == {*queues, f"outrider-agent-{name}"}
    assert set(fleet_service.node.management.users()) - before == {f"outrider-agent-{name}"}
    assert service_pid(clean_host)
    assert clean_host.ask("ls /opt/outrider/agent/versions | wc -l") == "1"
    assert clean_host.ask("pgrep -fc '[p]ython -m outrider.agent'") == "1"
    assert clean_host.ask("find /opt/outrider /etc/outrider -name '*.part' -o -name '*.building*'") == ""
    assert not clean_host.exists("/root/.cache/outrider-install")

    fleet_service.run(blueprint, "uninstall")
    assert [path for path in SYSTEM_PATHS if clean_host.exists(path)] == []
    assert fleet_service.on_broker(name) == set()


def reached(service: FleetService, host: Host, name: str) -> dict[str, Callable[[], bool]]:
    """Return what tells that an installation has come so far."""
    return {
        ACCOUNT: lambda: f"outrider-agent-{name}" in service.node.management.users(),
        VERSION: lambda: host.exists("/opt/outrider/agent/versions"),
        CONFIGURATION: lambda: host.exists("/etc/outrider/agent.toml"),
    }


def ended(service: FleetService, deployment: str) -> Execution | None:
    """Return the deployment's one execution if it has ended."""
    found = [each for each in service.executions(deployment) if each.ended]
    return found[0] if found else None


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that may have ended."""
    if process.poll() is None:
        process.terminate()
    process.wait(60)
