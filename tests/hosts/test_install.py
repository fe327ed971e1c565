"""An agent comes onto a host: as root, by sudo with and without a password, as a user; again; and after a reboot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from outrider.installer import Bundle, Step, StepFailed, StepState, Sudo, doctor, install_agent, uninstall_agent
from outrider.installer.errors import AccessFailed
from outrider.plugins.ssh.access.errors import SudoMissing, SudoPasswordNeeded, SudoPasswordWrong
from tests.support.hosts import PASSWORDS, Host, StartHost
from tests.support.installing import USER_PATHS, NoHeartbeats, Recorder, service_pid, spec_of, target_of
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(400)]


def test_root_gets_an_agent_that_runs_as_a_service(clean_host: Host, stand_in_bundle: Bundle) -> None:
    recorder = Recorder()
    agent = install_agent(
        target_of(clean_host), spec_of(), stand_in_bundle, heartbeats=NoHeartbeats(), observer=recorder
    )
    assert agent.service == "systemd"
    assert agent.survives_reboot
    assert agent.changed
    assert recorder.states(StepState.DONE) == [step.value for step in Step]
    assert clean_host.ask("stat -c '%a %U' /etc/outrider/agent.toml") == "600 root"
    assert clean_host.ask("stat -c '%a %U' /var/lib/outrider") == "700 root"
    assert clean_host.ask("readlink /opt/outrider/agent/current") == "versions/0.1.0"
    command = clean_host.ask(f"tr '\\0' ' ' < /proc/{service_pid(clean_host)}/cmdline")
    assert command == "/opt/outrider/agent/current/bin/python -m outrider.agent --config /etc/outrider/agent.toml"
    assert not clean_host.exists("/root/.cache/outrider-install")


def test_a_second_run_changes_nothing_and_another_configuration_restarts_the_agent(
    clean_host: Host, stand_in_bundle: Bundle
) -> None:
    first = install_agent(target_of(clean_host), spec_of(), stand_in_bundle, heartbeats=None)
    pid = service_pid(clean_host)
    recorder = Recorder()
    second = install_agent(target_of(clean_host), spec_of(), stand_in_bundle, heartbeats=None, observer=recorder)
    assert not second.changed
    assert service_pid(clean_host) == pid
    assert recorder.states(StepState.SKIPPED) == ["transfer", "verify", "environment"]
    assert second.bytes_sent < first.bytes_sent / 50

    changed = install_agent(target_of(clean_host), spec_of(settings={"slots": 3}), stand_in_bundle, heartbeats=None)
    assert changed.changed
    assert "slots = 3" in clean_host.read("/etc/outrider/agent.toml")
    wait_until(lambda: service_pid(clean_host) not in (0, pid), 20, "the agent to be restarted")


def test_a_sudo_user_with_a_password_gets_the_system_agent(clean_host: Host, stand_in_bundle: Bundle) -> None:
    target = target_of(clean_host, "admin", sudo_password=PASSWORDS["admin"])
    agent = install_agent(target, spec_of(), stand_in_bundle, heartbeats=None)
    assert agent.service == "systemd"
    assert clean_host.ask("stat -c %U /etc/outrider/agent.toml") == "root"
    assert not clean_host.exists("/home/admin/.cache/outrider-install")


def test_a_sudo_user_without_a_password_gets_the_system_agent(clean_host: Host, stand_in_bundle: Bundle) -> None:
    agent = install_agent(target_of(clean_host, "deploy"), spec_of(), stand_in_bundle, heartbeats=None)
    assert agent.service == "systemd"


def test_a_user_may_log_in_with_a_password(clean_host: Host, stand_in_bundle: Bundle) -> None:
    target = replace(target_of(clean_host, "admin"), key_file=None, password=PASSWORDS["admin"])
    diagnosis = doctor(target, stand_in_bundle.host_program)
    assert diagnosis.problems == ()
    assert diagnosis.facts.user == "root"


@pytest.mark.parametrize(
    ("user", "sudo_password", "reason"),
    [
        ("admin", "wrong", SudoPasswordWrong),
        ("admin", None, SudoPasswordNeeded),
        ("guest", PASSWORDS["guest"], SudoMissing),
    ],
)
def test_sudo_that_does_not_open_is_said_in_the_first_step(
    clean_host: Host, stand_in_bundle: Bundle, user: str, sudo_password: str | None, reason: type
) -> None:
    target = target_of(clean_host, user, sudo=Sudo.ALWAYS, sudo_password=sudo_password)
    with pytest.raises(StepFailed) as caught:
        install_agent(target, spec_of(), stand_in_bundle, heartbeats=None)
    assert caught.value.step == "connect"
    assert isinstance(caught.value.reason, AccessFailed)
    assert isinstance(caught.value.reason.reason, reason)
    assert caught.value.remedy
    assert sudo_password is None or sudo_password not in str(caught.value)
    if reason is SudoPasswordWrong:
        assert "check the sudo password" in caught.value.remedy
        right = replace(target, sudo_password=PASSWORDS[user])
        assert install_agent(right, spec_of(), stand_in_bundle, heartbeats=None).service == "systemd"


def test_a_user_without_root_gets_an_agent_of_its_own_by_cron_and_uninstalls_it_without_a_trace(
    host: Host, stand_in_bundle: Bundle
) -> None:
    agent = install_agent(target_of(host, "guest"), spec_of(), stand_in_bundle, heartbeats=None)
    assert agent.service == "detached"
    assert agent.survives_reboot
    assert host.ask("stat -c '%a %U' /home/guest/.config/outrider/agent.toml") == "600 guest"
    assert "respawn.sh" in host.ask("crontab -l -u guest")
    starts = "/home/guest/.local/state/outrider/starts"
    wait_until(lambda: host.exists(starts), 20, "the agent to start")
    host.reboot()
    wait_until(lambda: len(host.read(starts).splitlines()) == 2, 30, "cron to bring the agent back")
    assert host.run("pgrep -u guest -f respawn.sh", check=False).code == 0

    uninstall_agent(target_of(host, "guest"), stand_in_bundle.host_program)
    for path in USER_PATHS:
        assert not host.exists(f"/home/guest/{path}"), path
    assert host.run("crontab -l -u guest", check=False).code != 0
    assert host.run("pgrep -u guest -f respawn.sh", check=False).code != 0


def test_a_user_who_may_linger_gets_a_unit(host: Host, stand_in_bundle: Bundle) -> None:
    host.run("loginctl enable-linger guest")
    agent = install_agent(target_of(host, "guest"), spec_of(), stand_in_bundle, heartbeats=None)
    assert agent.service == "systemd-user"
    assert agent.survives_reboot
    starts = "/home/guest/.local/state/outrider/starts"
    wait_until(lambda: host.exists(starts), 20, "the agent to start")
    host.reboot()
    wait_until(lambda: len(host.read(starts).splitlines()) == 2, 30, "systemd to bring the agent back")


def test_a_host_without_any_way_over_a_reboot_is_told_plainly(host: Host, stand_in_bundle: Bundle) -> None:
    host.run("systemctl disable --now cron && chmod 700 /usr/bin/crontab")
    agent = install_agent(target_of(host, "guest"), spec_of(), stand_in_bundle, heartbeats=None)
    assert not agent.survives_reboot
    assert "will NOT survive a reboot" in agent.notices[0]


def test_a_host_without_systemd_gets_a_loop_that_starts_the_agent_again(
    start_host: StartHost, stand_in_bundle: Bundle
) -> None:
    host = start_host(systemd=False)
    agent = install_agent(target_of(host), spec_of(), stand_in_bundle, heartbeats=None)
    assert agent.service == "detached"
    starts = "/var/lib/outrider/starts"
    wait_until(lambda: host.exists(starts), 20, "the agent to start")
    pid = host.read(starts).split()[1]
    host.run(f"kill -9 {pid}")
    wait_until(lambda: len(host.read(starts).splitlines()) == 2, 20, "the loop to start the agent again")


def test_the_agent_is_back_after_it_was_killed_and_after_a_reboot(clean_host: Host, stand_in_bundle: Bundle) -> None:
    install_agent(target_of(clean_host), spec_of(), stand_in_bundle, heartbeats=None)
    pid = service_pid(clean_host)
    clean_host.run(f"kill -9 {pid}")
    wait_until(lambda: service_pid(clean_host) not in (0, pid), 20, "systemd to start the agent again")
    clean_host.reboot()
    wait_until(lambda: service_pid(clean_host) != 0, 30, "systemd to start the agent")
