"""What goes wrong on the way to an agent is said with step and remedy, and a second run succeeds."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from outrider.installer import (
    BrokerAccess,
    Bundle,
    HostKeys,
    StepEvent,
    StepFailed,
    StepState,
    doctor,
    install_agent,
)
from outrider.installer.errors import AccessFailed, HostUnfit, NoPython
from outrider.plugins.ssh.access.errors import ConnectionLost, HostKeyChanged, HostKeyUnknown, LoginRefused
from tests.support.hosts import Host, StartHost
from tests.support.installing import service_pid, spec_of, target_of
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(400)]
REMOTE_STEPS = ["probe", "transfer", "verify", "environment", "configuration", "service"]


def test_ssh_cut_in_each_step_is_named_and_the_next_run_gets_past_it(clean_host: Host, stand_in_bundle: Bundle) -> None:
    for step in REMOTE_STEPS:

        def cut(event: StepEvent, step: str = step) -> None:
            if event.step == step and event.state is StepState.STARTED:
                clean_host.cut_ssh()

        with pytest.raises(StepFailed) as caught:
            install_agent(target_of(clean_host), spec_of(), stand_in_bundle, heartbeats=None, observer=cut)
        # The step that was cut the last time went well this time.
        assert caught.value.step == step
        assert isinstance(caught.value.reason, AccessFailed)
        assert isinstance(caught.value.reason.reason, ConnectionLost)
        assert "Run the installation again" in str(caught.value)
    agent = install_agent(target_of(clean_host), spec_of(), stand_in_bundle, heartbeats=None)
    assert agent.service == "systemd"
    wait_until(lambda: service_pid(clean_host) != 0, 20, "the agent to run")
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
