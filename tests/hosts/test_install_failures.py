"""What goes wrong on the way to an agent is said with step and remedy, and a second run succeeds."""

from __future__ import annotations

import shutil
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from outrider.installer import (
    BrokerAccess,
    Bundle,
    HostKeys,
    InstalledAgent,
    Observer,
    Step,
    StepEvent,
    StepFailed,
    StepState,
    doctor,
    install_agent,
)
from outrider.installer.errors import AccessFailed, HostUnfit, NoPython
from outrider.installer.progress import ignore
from outrider.plugins.ssh.access.errors import (
    ConnectionLost,
    HostKeyChanged,
    HostKeyUnknown,
    HostUnreachable,
    LoginRefused,
)
from tests.support.accounts import RememberedAccount
from tests.support.hosts import PASSWORDS, Host, StartHost
from tests.support.installing import NoHeartbeats, service_pid, spec_of, target_of
from tests.support.lines import Line, line_to
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(600)]
BEFORE_THE_HOST_IS_TOLD = {Step.CONNECT, Step.PROBE, Step.TRANSFER, Step.VERIFY, Step.ENVIRONMENT}


def bytes_of_each_step(line: Line, bundle: Bundle) -> dict[Step, int]:
    """Install once, and return how much the host says in each step."""
    begins: dict[str, int] = {}

    def note(event: StepEvent) -> None:
        if event.state is StepState.STARTED:
            begins[event.step] = line.received

    install_agent(line.target, spec_of(), bundle, heartbeats=NoHeartbeats(), observer=note)
    assert list(begins) == [step.value for step in Step]
    ends = [*list(begins.values())[1:], line.received]
    return {Step(name): end - begin for (name, begin), end in zip(begins.items(), ends, strict=True)}


def test_ssh_cut_in_the_middle_of_each_step_is_named_and_the_next_run_gets_past_it(
    clean_host: Host, stand_in_bundle: Bundle
) -> None:
    account = RememberedAccount("host-1")

    with line_to(target_of(clean_host)) as line:
        sizes = bytes_of_each_step(line, stand_in_bundle)
        clean_host.wipe()

        def install(observer: Observer = ignore) -> InstalledAgent:
            return install_agent(
                line.target,
                spec_of(),
                stand_in_bundle,
                heartbeats=NoHeartbeats(),
                observer=observer,
                account=account,
            )

        for number, step in enumerate(Step, 1):

            def cut(event: StepEvent, step: Step = step) -> None:
                if event.step == step.value and event.state is StepState.STARTED:
                    line.cut_after(sizes[step] // 2)

            with pytest.raises(StepFailed) as caught:
                install(cut)
            assert line.cuts == number
            # A heartbeat comes by the broker: nothing is lost with the line before the next step.
            assert caught.value.step == (Step.CLEANUP if step is Step.HEARTBEAT else step).value
            assert isinstance(caught.value.reason, AccessFailed)
            assert isinstance(caught.value.reason.reason, HostUnreachable | ConnectionLost)
            assert caught.value.host in str(caught.value)
            assert caught.value.remedy
            if step in BEFORE_THE_HOST_IS_TOLD:
                assert account.passwords == [], "the account of an agent that may be there was changed"
        agent = install()
    assert agent.service == "systemd"
    wait_until(lambda: service_pid(clean_host) != 0, 20, "the agent to run")
    assert clean_host.ask("ls /opt/outrider/agent/versions") == "0.1.0"
    assert clean_host.ask("find /opt/outrider /etc/outrider -name '*.part'") == ""
    assert not clean_host.exists("/root/.cache/outrider-install")


def test_a_transfer_that_was_cut_goes_on_where_it_was(clean_host: Host, stand_in_bundle: Bundle) -> None:
    def cut(event: StepEvent) -> None:
        if event.step == "transfer" and event.fraction is not None and event.fraction > 0.5:
            clean_host.cut_ssh()

    with pytest.raises(StepFailed):
        install_agent(target_of(clean_host), spec_of(), stand_in_bundle, heartbeats=None, observer=cut)
    size = len(stand_in_bundle.select(stand_in_bundle.targets[0]).data)
    agent = install_agent(target_of(clean_host), spec_of(), stand_in_bundle, heartbeats=None)
    assert agent.bytes_sent < size


def test_a_changed_host_key_is_refused_before_anything_is_sent(
    host: Host, stand_in_bundle: Bundle, tmp_path: Path
) -> None:
    known = tmp_path / "known_hosts"
    target = replace(target_of(host), host_keys=HostKeys(known_hosts=(known,), accept_new=True))
    doctor(target, stand_in_bundle.host_program)
    host.change_host_keys()
    with pytest.raises(StepFailed) as caught:
        install_agent(target, spec_of(), stand_in_bundle, heartbeats=None)
    assert isinstance(caught.value.reason, AccessFailed)
    assert isinstance(caught.value.reason.reason, HostKeyChanged)
    assert f"ssh-keygen -R '{host.address}'" in caught.value.remedy
    known.unlink()
    assert install_agent(target, spec_of(), stand_in_bundle, heartbeats=None).changed


def test_an_unknown_host_key_is_refused_unless_first_use_is_allowed(
    clean_host: Host, stand_in_bundle: Bundle, tmp_path: Path
) -> None:
    target = replace(target_of(clean_host), host_keys=HostKeys(known_hosts=(tmp_path / "none",)))
    with pytest.raises(StepFailed) as caught:
        doctor(target, stand_in_bundle.host_program)
    assert isinstance(caught.value.reason, AccessFailed)
    assert isinstance(caught.value.reason.reason, HostKeyUnknown)
    assert not (tmp_path / "none").exists()


def test_a_broker_that_the_host_does_not_reach_is_found_before_anything_is_sent(
    clean_host: Host, stand_in_bundle: Bundle
) -> None:
    with socket.create_server((clean_host.gateway, 0)) as silent:
        port = silent.getsockname()[1]
        broker = BrokerAccess(urls=(f"amqp://a:very-secret@{clean_host.gateway}:{port}/",))
        clean_host.cut_port(port)
        with pytest.raises(StepFailed) as caught:
            install_agent(target_of(clean_host), spec_of(broker=broker), stand_in_bundle, heartbeats=None)
    assert caught.value.step == "probe"
    assert caught.value.cause == "broker unreachable from the host"
    assert f"{clean_host.gateway}:{port}: no answer within 5 s" in str(caught.value)
    assert "very-secret" not in str(caught.value)
    clean_host.restore_network()
    assert install_agent(target_of(clean_host), spec_of(), stand_in_bundle, heartbeats=None).changed


def test_a_full_disk_is_found_by_the_probe(clean_host: Host, stand_in_bundle: Bundle) -> None:
    clean_host.fill_disk("/opt")
    with pytest.raises(StepFailed) as caught:
        install_agent(target_of(clean_host), spec_of(), stand_in_bundle, heartbeats=None)
    assert isinstance(caught.value.reason, HostUnfit)
    assert "0 MiB are free for /opt/outrider/agent" in str(caught.value)
    clean_host.empty_disk("/opt")
    assert install_agent(target_of(clean_host), spec_of(), stand_in_bundle, heartbeats=None).changed


def test_a_disk_that_fills_up_on_the_way_is_said_and_room_on_it_mends_all(
    clean_host: Host, stand_in_bundle: Bundle
) -> None:
    def fill(event: StepEvent) -> None:
        if event.step == "environment" and event.state is StepState.STARTED:
            clean_host.fill_disk("/opt")

    with pytest.raises(StepFailed) as caught:
        install_agent(target_of(clean_host), spec_of(), stand_in_bundle, heartbeats=None, observer=fill)
    assert caught.value.step == "environment"
    assert "no space left" in str(caught.value)
    assert "free some space on the disk that holds /opt/outrider" in caught.value.remedy
    clean_host.empty_disk("/opt")
    assert install_agent(target_of(clean_host), spec_of(), stand_in_bundle, heartbeats=None).changed


def test_no_secret_is_in_a_command_line_or_a_log(
    clean_host: Host, stand_in_bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    # In the agent's settings, as its password for the broker is.
    spec = spec_of(settings={"environment": ["TOKEN=agents-secret"]})
    # All command lines and environments, again and again, for as long as the installation goes on.
    clean_host.write("/var/tmp/watched", "")
    watch = "while test -e /var/tmp/watched; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ; sleep 0.02; done"
    clean_host.run(f"setsid sh -c '{watch}' > /var/tmp/seen 2>/dev/null < /dev/null &")
    wait_until(lambda: clean_host.ask("stat -c %s /var/tmp/seen") != "0", 20, "the watch to see something")
    try:
        target = target_of(clean_host, "admin", sudo_password=PASSWORDS["admin"])
        install_agent(target, spec, stand_in_bundle, heartbeats=None)
    finally:
        clean_host.run("rm /var/tmp/watched")
    assert "agents-secret" in clean_host.read("/etc/outrider/agent.toml")
    for secret in ("agents-secret", PASSWORDS["admin"]):
        assert clean_host.ask(f"grep -ac -e {secret} /var/tmp/seen", check=False) == "0", secret
        assert secret not in caplog.text
        assert clean_host.ask(f"journalctl --no-pager -o cat | grep -c -e {secret}", check=False) == "0", secret
    assert clean_host.ask("grep -ac -e outrider-install /var/tmp/seen", check=False) != "0", "nothing was seen at all"


def test_a_wrong_clock_is_found_before_anything_is_sent(clean_host: Host, stand_in_bundle: Bundle) -> None:
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not libraries:
        pytest.skip("libfaketime (Debian: faketime) is not installed")
    clean_host.put("/var/tmp/libfaketime.so.1", libraries[0].read_bytes())
    ahead = '#!/bin/sh\nexport LD_PRELOAD=/var/tmp/libfaketime.so.1 FAKETIME=+10m\nexec /usr/bin/python3 "$@"\n'
    clean_host.write("/var/tmp/python-ahead", ahead, mode=0o755)
    wrong = replace(target_of(clean_host), python="/var/tmp/python-ahead")
    with pytest.raises(StepFailed) as caught:
        install_agent(wrong, spec_of(), stand_in_bundle, heartbeats=None)
    assert (caught.value.step, caught.value.cause) == ("probe", "wrong clock")
    assert "s ahead of this machine's" in str(caught.value)
    assert "timedatectl set-ntp true" in caught.value.remedy
    assert not clean_host.exists("/opt/outrider")
    assert install_agent(target_of(clean_host), spec_of(), stand_in_bundle, heartbeats=None).changed


def test_a_host_without_python_is_told_what_is_needed(host: Host, stand_in_bundle: Bundle) -> None:
    host.run("mv /usr/bin/python3 /usr/bin/python3.hidden; mv /usr/bin/python3.11 /usr/bin/hidden")
    with pytest.raises(StepFailed) as caught:
        install_agent(target_of(host), spec_of(), stand_in_bundle, heartbeats=None)
    assert isinstance(caught.value.reason, NoPython)
    assert "found: none" in str(caught.value)
    assert "Python 3.9 to 3.13" in caught.value.remedy


def test_a_wrong_key_is_refused_and_the_tried_ways_are_named(
    clean_host: Host, stand_in_bundle: Bundle, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    paramiko.ECDSAKey.generate().write_private_key_file(str(other))
    with pytest.raises(StepFailed) as caught:
        doctor(replace(target_of(clean_host), key_file=other), stand_in_bundle.host_program)
    assert isinstance(caught.value.reason, AccessFailed)
    assert isinstance(caught.value.reason.reason, LoginRefused)
    assert "tried: key ecdsa-sha2-nistp256" in str(caught.value)


def test_an_encrypted_key_opens_with_its_passphrase(clean_host: Host, stand_in_bundle: Bundle, tmp_path: Path) -> None:
    encrypted = tmp_path / "encrypted"
    key = paramiko.ECDSAKey.from_private_key_file(str(clean_host.private_key))
    key.write_private_key_file(str(encrypted), password="open sesame")
    target = replace(target_of(clean_host), key_file=encrypted, passphrase="open sesame")
    assert not doctor(target, stand_in_bundle.host_program).problems


def test_a_key_may_be_with_the_ssh_agent(
    clean_host: Host, stand_in_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("ssh-agent") is None:
        pytest.skip("ssh-agent (Debian: openssh-client) is not installed")
    address = tmp_path / "agent"
    keeper = subprocess.Popen(["ssh-agent", "-D", "-a", str(address)], stdout=subprocess.DEVNULL)
    try:
        wait_until(address.exists, 20, "the ssh-agent")
        monkeypatch.setenv("SSH_AUTH_SOCK", str(address))
        subprocess.run(["ssh-add", "-q", str(clean_host.private_key)], check=True, timeout=30)
        target = replace(target_of(clean_host), key_file=None, use_agent=True)
        assert not doctor(target, stand_in_bundle.host_program).problems
    finally:
        keeper.terminate()
        keeper.wait(30)


def test_a_host_behind_a_jump_host_gets_its_agent(start_host: StartHost, stand_in_bundle: Bundle) -> None:
    jump, inner = start_host(), start_host()
    target = target_of(inner, jumps=(target_of(jump, "guest"),))
    assert install_agent(target, spec_of(), stand_in_bundle, heartbeats=None).service == "systemd"


def test_doctor_leaves_nothing_on_the_host(clean_host: Host, stand_in_bundle: Bundle) -> None:
    diagnosis = doctor(target_of(clean_host), stand_in_bundle.host_program)
    assert diagnosis.problems == ()
    assert diagnosis.facts.systemd
    assert not clean_host.exists("/root/.cache/outrider-install")
    assert not clean_host.exists("/opt/outrider")
