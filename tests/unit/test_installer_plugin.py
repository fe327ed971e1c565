"""The built-in plugin `agent` without hosts: what a blueprint says, what failures mean, what user data holds."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from outrider.agent.settings import load
from outrider.installer import Sudo
from outrider.installer.access import InstallerAccess
from outrider.installer.configuration import render_configuration
from outrider.installer.errors import AccessFailed, AgentNameTaken, HostUnfit, NoPython, StepFailed
from outrider.installer.initscript import init_script
from outrider.installer.onhost import leaving
from outrider.installer.onhost.bootstrap import hash_password
from outrider.installer.onhost.layout import my_layout
from outrider.installer.plugin.failures import SETTLING_TRIES, is_final
from outrider.installer.plugin.login import Login
from outrider.installer.plugin.operations import create, delete, renew, restart, stop
from outrider.installer.plugin.wishes import Wish, WishInvalid, read_wish
from outrider.messaging.errors import ConnectFailed
from outrider.plugins.host.operations import install_plugins, uninstall_plugins
from outrider.plugins.host.operations import restart as restart_here
from outrider.plugins.host.operations import stop as leave_host
from outrider.plugins.sdk.testing import call
from outrider.plugins.ssh.access.errors import HostKeyUnknown, HostUnreachable, LoginRefused, SudoPasswordWrong

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"


def target(config: dict[str, Any], *, pinned: str | None = None, accept_new: bool = False) -> Any:
    """Return the way into a host with this agent_config."""
    wish = Wish("remote", "10.0.0.5", config)
    return wish.target(known_hosts=(Path("known"),), pinned=pinned, accept_new=accept_new)


@pytest.mark.parametrize(
    ("properties", "runtime", "given", "expected"),
    [
        ({}, {}, None, ("remote", None)),
        ({"agent_config": {"install_method": "none"}, "ip": "1.1.1.1"}, {}, None, ("none", "1.1.1.1")),
        ({"ip": "1.1.1.1"}, {"ip": "2.2.2.2"}, None, ("remote", "2.2.2.2")),
        ({"install_agent": False, "agent_config": {"install_method": "remote"}}, {}, None, ("none", None)),
        ({"cloudify_agent": {"install_method": "init_script"}}, {}, None, ("init_script", None)),
        ({"agent_config": {"install_method": "remote"}}, {}, {"install_method": "provided"}, ("provided", None)),
    ],
)
def test_a_wish_is_read_from_the_node_its_instance_and_the_inputs(
    properties: dict[str, Any], runtime: dict[str, Any], given: dict[str, Any] | None, expected: tuple[str, str]
) -> None:
    wish = read_wish(properties, runtime, given)

    assert (wish.method, wish.ip) == expected


def test_extra_fields_count_like_the_others_and_inputs_win() -> None:
    node = {"agent_config": {"install_method": "remote", "user": "a", "max_workers": 2, "extra": {"sudo": "never"}}}

    wish = read_wish(node, {"agent_config": {"user": "b"}}, {"user": "c"})

    assert wish.config["user"] == "c"
    assert wish.config["sudo"] == "never"
    assert wish.settings == {"slots": 2}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"max_workers": "3", "min_workers": 2}, {"slots": 3, "waiting_children": 2}),
        ({"min_workers": 0, "max_workers": None}, {}),
        ({"heartbeat": 12}, {"heartbeat_seconds": 12.0}),
        ({"log_level": "DEBUG"}, {"log_level": "debug"}),
        (
            {"env": {"https_proxy": "http://p:3128", "DEEP": 1}},
            {"environment": ["DEEP=1", "https_proxy=http://p:3128"]},
        ),
        ({"executable_temp_path": "/opt/tmp"}, {"environment": ["CFY_EXEC_TEMP=/opt/tmp"]}),
    ],
)
def test_fields_of_the_configuration_become_settings_of_the_agent(
    config: dict[str, Any], expected: dict[str, Any], tmp_path: Path
) -> None:
    wish = Wish("remote", "h", config)

    assert wish.settings == expected
    access = InstallerAccess(broker_urls=("amqp://broker/",), management_url="")
    path = tmp_path / "agent.toml"
    path.write_text(render_configuration(access.spec("vm_1", (), wish.settings), state_dir="/s", ca_file=""))
    read = load(path, environment={}, flags={})
    assert {name: getattr(read, name) for name in expected} == {
        name: tuple(value) if isinstance(value, list) else value for name, value in expected.items()
    }


def test_a_heartbeat_comes_several_times_in_a_lease_whatever_was_asked_for() -> None:
    access = InstallerAccess(broker_urls=("amqp://broker/",), management_url="", lease_seconds=60.0)

    assert access.spec("a", (), {"heartbeat_seconds": 30.0}).settings["heartbeat_seconds"] == 15.0


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"max_workers": "many"}, "max_workers: 'many' is no number above 0"),
        ({"heartbeat": -1}, "heartbeat: -1 is no number above 0"),
        ({"env": {"TOKEN": {"get_secret": "t"}}}, "env: the value of TOKEN"),
        ({"env": ["A=b"]}, "is no mapping"),
    ],
)
def test_a_field_that_cannot_be_followed_is_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(WishInvalid, match=message):
        _ = Wish("remote", "h", config).settings


@pytest.mark.parametrize(
    ("given", "expected"), [(None, None), ("systemd", "systemd"), ({"name": "detach"}, "detached"), ("init.d", None)]
)
def test_the_words_for_a_service_are_the_ecosystems(given: Any, expected: str | None) -> None:
    assert Wish("remote", "h", {"process_management": given}).service == expected


def test_a_key_is_a_text_or_a_path_and_shows_nowhere() -> None:
    by_text, by_path = target({"key": KEY, "password": "pw-1"}), target({"key": "/keys/id"})

    assert (by_text.key_text, by_text.key_file) == (KEY, None)
    assert (by_path.key_text, by_path.key_file) == (None, Path("/keys/id"))
    assert not by_text.use_agent
    assert "AAAA" not in repr(by_text)
    assert "pw-1" not in repr(Wish("remote", "h", {"password": "pw-1"}))


def test_the_blueprints_fingerprint_wins_over_the_remembered_one() -> None:
    assert target({"host_key": "SHA256:a"}, pinned="SHA256:b").host_keys.fingerprint == "SHA256:a"
    assert target({}, pinned="SHA256:b").host_keys.fingerprint == "SHA256:b"


@pytest.mark.parametrize(
    ("config", "setting", "expected"),
    [({}, False, False), ({}, True, True), ({"accept_new_host_key": False}, True, False)],
)
def test_keys_of_new_hosts_are_taken_only_if_somebody_says_so(
    config: dict[str, Any], setting: bool, expected: bool
) -> None:
    assert target(config, accept_new=setting).host_keys.accept_new is expected


def test_jump_hosts_have_the_same_login_and_keys_of_their_own() -> None:
    made = target({"user": "me", "port": 2222, "host_key": "SHA256:a", "jump": ["gate", "you@inner:23"]})

    gate, inner = made.jumps
    assert (gate.user, gate.host, gate.port) == ("me", "gate", 22)
    assert (inner.user, inner.host, inner.port) == ("you", "inner", 23)
    assert gate.host_keys.fingerprint is None


@pytest.mark.parametrize(("given", "expected"), [(None, Sudo.AUTO), (True, Sudo.ALWAYS), ("never", Sudo.NEVER)])
def test_sudo(given: Any, expected: Sudo) -> None:
    assert target({"sudo": given}).sudo is expected


@pytest.mark.parametrize(
    ("config", "message"),
    [({"install_method": "by-post"}, "by-post"), ({"install_method": "remote", "sudo": "maybe"}, "maybe")],
)
def test_a_wish_that_cannot_be_followed_names_the_choices(config: dict[str, Any], message: str) -> None:
    with pytest.raises(WishInvalid, match=f"{message}.*Choose of"):
        read_wish({"agent_config": config, "ip": "h"}, {}).target(known_hosts=(), pinned=None, accept_new=False)


def test_a_host_without_an_address_says_where_to_set_it() -> None:
    with pytest.raises(WishInvalid, match="Set `ip` in the blueprint"):
        Wish("remote").target(known_hosts=(), pinned=None, accept_new=False)


def step(reason: Exception) -> StepFailed:
    """Return how a step fails for a reason."""
    inner = AccessFailed(reason) if not isinstance(reason, (HostUnfit, NoPython)) else reason
    return StepFailed("host", "connect", inner)


@pytest.mark.parametrize(
    ("error", "first", "later"),
    [
        (HostUnreachable("no answer"), False, False),
        (step(HostUnreachable("no answer")), False, False),
        (ConnectFailed("no broker"), False, False),
        (step(LoginRefused("wrong key")), False, True),
        (step(HostUnfit("the clock is wrong")), False, True),
        (step(HostKeyUnknown("never seen")), True, True),
        (step(SudoPasswordWrong("no")), True, True),
        (step(NoPython("none")), True, True),
        (WishInvalid("nonsense"), True, True),
        (AgentNameTaken("taken"), True, True),
    ],
)
def test_what_is_tried_again_and_how_often(error: Exception, first: bool, later: bool) -> None:
    assert is_final(error, retry_number=0) is first
    assert is_final(error, retry_number=SETTLING_TRIES) is later


def test_a_host_that_shall_go_is_not_waited_for_as_long_as_one_that_comes() -> None:
    unreachable = step(HostUnreachable("no answer"))

    assert not is_final(unreachable, retry_number=0, patient=False)
    assert is_final(unreachable, retry_number=SETTLING_TRIES, patient=False)


def test_the_key_that_was_trusted_at_first_use_is_found_again(tmp_path: Path) -> None:
    blob = b"a public key"
    seen = tmp_path / "known_hosts"
    seen.write_text(f"[10.0.0.5]:2222 ssh-ed25519 {base64.b64encode(blob).decode()}\n")
    expected = "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")

    assert Login(target({"port": 2222}), seen).shown_key() == expected
    assert Login(target({}), tmp_path / "none").shown_key() is None


@pytest.mark.parametrize("operation", [create, stop, delete, renew, restart])
def test_hosts_without_agents_need_nothing(operation: Any) -> None:
    run = call(operation, properties={"agent_config": {"install_method": "none"}})

    assert run.verdict == "succeeded"
    assert run.error is None


def test_an_installation_without_access_names_the_settings() -> None:
    run = call(create, properties={"ip": "10.0.0.5"})

    assert not run.error["recoverable"]
    assert "outrider broker setup" in run.error["message"]


def test_a_host_that_brought_its_agent_cannot_fetch_a_release_where_no_files_are_served() -> None:
    access = InstallerAccess(broker_urls=("amqp://broker/",), management_url="")
    run = call(
        renew,
        properties={"agent_config": {"install_method": "init_script"}},
        runtime_properties={"cloudify_agent": {"name": "vm_1"}},
        context={"extras": {"installer_access": access.to_json()}},
    )

    assert not run.error["recoverable"]
    assert "the dispatcher serves no files: agent vm_1 cannot fetch this release" in run.error["message"]


def test_an_agent_that_no_login_leads_to_is_started_anew_by_itself() -> None:
    properties = {"agent_config": {"install_method": "init_script"}}
    run = call(restart, properties=properties, runtime_properties={"cloudify_agent": {"name": "vm_1"}})

    assert not run.error["recoverable"]
    assert "restart_amqp" in run.error["message"]


def test_an_agent_that_no_installer_put_there_is_not_started_anew() -> None:
    run = call(restart_here)

    assert not run.error["recoverable"]
    assert "where no installer put it" in run.error["message"]


@pytest.mark.parametrize("operation", [install_plugins, uninstall_plugins])
def test_plugins_come_and_go_by_themselves(operation: Any) -> None:
    run = call(operation, inputs={"plugins": [{"name": "aws"}, "docker"]})

    assert run.error is None
    assert run.logs[-1].message.startswith("plugins aws, docker: ")


def test_a_host_that_nobody_ever_got_onto_is_not_logged_in_to() -> None:
    # Without access: had it tried anything, it would have failed for want of it.
    run = call(stop, properties={"ip": "10.0.0.5"}, runtime_properties={"cloudify_agent": {"name": "vm_1"}})

    assert run.error is None


def test_access_survives_its_way_and_hides_accounts() -> None:
    access = InstallerAccess(
        broker_urls=("amqps://me:secret-1@broker/fleet",), management_url="https://admin:secret-2@broker", bundle="b"
    )

    again = InstallerAccess.from_json({**json.loads(json.dumps(access.to_json())), "of_a_newer_release": 1})

    assert again == access
    assert again.vhost == "fleet"
    assert again.addresses == ("amqps://broker/fleet",)
    assert "secret-" not in repr(access)
    assert access.spec("a", (), {"slots": 2}).settings == {
        "lease_seconds": 180.0,
        "heartbeat_seconds": 5.0,
        "slots": 2,
    }


def test_user_data_is_a_script_that_a_shell_reads(tmp_path: Path) -> None:
    path = tmp_path / "user-data"
    path.write_text(init_script("vm_1", url="https://d/files", token="f1.x", ca_pem="-----\nA\n", program="0" * 64))

    checked = subprocess.run(["sh", "-n", str(path)], capture_output=True, text=True, timeout=20, check=False)

    assert checked.returncode == 0, checked.stderr
    assert path.read_text().startswith("#!/bin/sh\n")


def test_user_data_on_a_machine_without_a_fitting_python_says_so(tmp_path: Path) -> None:
    path = tmp_path / "user-data"
    path.write_text(init_script("vm_1", url="http://d/files", token="t", ca_pem=None, program="0" * 64))
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    text = path.read_text().replace("/usr/local/bin/python3", "/nowhere").replace("/usr/libexec/", "/nowhere/")

    ran = subprocess.run(
        ["/bin/sh"], input=text, env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=20, check=False
    )

    assert ran.returncode == 1
    assert "needs Python 3.9 to 3.13" in ran.stderr


def test_a_password_is_hashed_as_the_broker_does() -> None:
    raw = base64.b64decode(hash_password("secret"))

    assert raw[4:] == hashlib.sha256(raw[:4] + b"secret").digest()
    assert hash_password("secret") != hash_password("secret")


def test_a_provided_agent_is_not_removed_from_its_host() -> None:
    run = call(leave_host, runtime_properties={"cloudify_agent": {"name": "a", "install_method": "provided"}})

    assert run.error is None
    assert "it stays" in run.logs[-1].message


def test_an_agent_that_never_reported_need_not_leave() -> None:
    run = call(leave_host, runtime_properties={"cloudify_agent": {"name": "a", "install_method": "init_script"}})

    assert run.error is None
    assert "never reported" in run.logs[-1].message


def test_an_agent_that_no_script_brought_says_how_it_is_removed() -> None:
    record = {"name": "a", "install_method": "init_script", "version": "0.1.0"}
    run = call(leave_host, runtime_properties={"cloudify_agent": record})

    assert not run.error["recoverable"]
    assert "outrider agent uninstall" in run.error["message"]


def test_an_agent_leaves_only_after_its_last_word_has_arrived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = my_layout(str(tmp_path))
    attempt = layout.state / "run" / "attempt-1"
    attempt.mkdir(parents=True)
    seen: list[bool] = []
    # The real one ends processes of this machine.
    monkeypatch.setattr(leaving, "uninstall", lambda _layout, **_: seen.append(attempt.exists()) or {})
    removal = threading.Thread(target=leaving.leave, args=(layout, {"attempt": "attempt-1", "wait_seconds": 30}))
    removal.start()
    try:
        assert seen == []
    finally:
        attempt.rmdir()
        removal.join(30)
    assert seen == [False]
