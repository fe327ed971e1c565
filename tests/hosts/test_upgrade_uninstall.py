"""An agent is upgraded beside its old version, rolled back if the new one fails, and removed without a trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from outrider.installer import (
    Bundle,
    HealthGate,
    StepFailed,
    Sudo,
    install_agent,
    run_fleet,
    uninstall_agent,
    upgrade_agent,
)
from outrider.installer.errors import InstallerError, UpgradeRolledBack, UpgradeUnknown
from tests.support.agent_bundles import BROKEN, STAND_IN, variant
from tests.support.hosts import PASSWORDS, Host, StartHost
from tests.support.installing import SYSTEM_PATHS, service_pid, spec_of, target_of
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(400)]


def files_of(host: Host) -> set[str]:
    """Return all paths of the host's disk, apart from what the system itself writes."""
    command = (
        "find / -xdev \\( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /var/log -o -path /dev "
        "-o -path /var/lib/systemd -o -path /var/lib/sudo -o -path /var/cache \\) -prune -o -print"
    )
    return set(host.ask(command).splitlines())


def test_uninstall_leaves_no_trace_of_a_system_agent(host: Host, stand_in_bundle: Bundle) -> None:
    before = files_of(host)
    install_agent(target_of(host), spec_of(), stand_in_bundle, heartbeats=None)
    removed_at_broker = []
    done = uninstall_agent(
        target_of(host), stand_in_bundle.host_program, remove_account=lambda: removed_at_broker.append(True)
    )
    assert removed_at_broker
    assert done.proof
    for path in SYSTEM_PATHS:
        assert not host.exists(path), path
    left = {path for path in files_of(host) - before if not path.endswith((".cache", "/.cache"))}
    assert left == set()
    assert host.run("systemctl status outrider-agent", check=False).code == 4
    again = uninstall_agent(target_of(host), stand_in_bundle.host_program)
    assert again.removed == ()


def test_uninstall_ends_what_operations_left_running(clean_host: Host, stand_in_bundle: Bundle) -> None:
    install_agent(target_of(clean_host), spec_of(), stand_in_bundle, heartbeats=None)
    clean_host.run("OUTRIDER_ATTEMPT=x setsid sh -c 'trap \"\" TERM; echo $$ > /tmp/left; while :; do sleep 1; done' &")
    wait_until(lambda: clean_host.exists("/tmp/left"), 10, "the left process")
    pid = int(clean_host.read("/tmp/left"))
    done = uninstall_agent(target_of(clean_host), stand_in_bundle.host_program, grace_seconds=1)
    assert pid in done.ended
    assert clean_host.run(f"kill -0 {pid}", check=False).code != 0


def test_an_upgrade_goes_back_unless_its_version_passes_also_after_a_cut(
    clean_host: Host, stand_in_bundle: Bundle, tmp_path: Path
) -> None:
    def cut(agent_id: str) -> None:
        clean_host.cut_ssh()
        raise InstallerError(f"the test operation on {agent_id} was not answered")

    def fail(agent_id: str) -> None:
        raise InstallerError(f"the test operation on {agent_id} failed")

    def active() -> str:
        return clean_host.ask("readlink /opt/outrider/agent/current")

    install_agent(target_of(clean_host), spec_of(), stand_in_bundle, heartbeats=None)
    new = variant(stand_in_bundle, tmp_path, version="0.2.0", agent_main=STAND_IN)
    with pytest.raises(StepFailed) as lost:
        upgrade_agent(target_of(clean_host), new, HealthGate(test_operation=cut))
    assert isinstance(lost.value.reason, UpgradeUnknown)
    assert "it is not known which version is active, 0.2.0 or 0.1.0" in str(lost.value)
    assert "run the upgrade again" in lost.value.remedy
    assert active() == "versions/0.2.0"

    pid = service_pid(clean_host)
    with pytest.raises(UpgradeRolledBack, match="the test operation on host-1 failed"):
        upgrade_agent(target_of(clean_host), new, HealthGate(test_operation=fail))
    assert active() == "versions/0.1.0"
    wait_until(lambda: service_pid(clean_host) not in (0, pid), 20, "the old version to run")

    done = upgrade_agent(target_of(clean_host), new, HealthGate())
    assert (done.before, done.version, done.changed) == ("0.1.0", "0.2.0", True)
    assert active() == "versions/0.2.0"
    assert clean_host.exists("/opt/outrider/agent/versions/0.1.0")
    assert not upgrade_agent(target_of(clean_host), new, HealthGate(test_operation=fail)).changed

    with pytest.raises(UpgradeRolledBack, match="this build is broken"):
        upgrade_agent(target_of(clean_host), variant(new, tmp_path, version="0.3.0", agent_main=BROKEN), HealthGate())
    assert active() == "versions/0.2.0"
    wait_until(lambda: service_pid(clean_host) != 0, 20, "the version before to run")


def test_a_fleet_installs_in_parallel_and_sums_failures_up_by_cause(
    start_host: StartHost, stand_in_bundle: Bundle
) -> None:
    good, bad = start_host(), start_host()
    targets = [
        target_of(good),
        target_of(bad, "guest", sudo=Sudo.ALWAYS, sudo_password=PASSWORDS["guest"]),
    ]
    report = run_fleet(targets, lambda target: install_agent(target, spec_of(), stand_in_bundle, heartbeats=None))
    assert [outcome.ok for outcome in report.outcomes] == [True, False]
    [cause] = report.causes()
    assert cause.what == "sudo missing"
    assert cause.hosts == (f"guest@{bad.address}",)
