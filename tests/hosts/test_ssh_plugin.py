"""The SSH plugin's operations on a real host: commands, scripts with `ctx`, files, sudo, jump hosts, host keys."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from outrider.cli.home import Home
from outrider.cli.local import opened
from outrider.cli.settings import CommandSettings, ConnectionSettings
from outrider.dispatcher.blueprint import Settings as BlueprintSettings
from outrider.dispatcher.files import ContentStore
from outrider.dispatcher.plugin_uploads import register
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.store.executions import Status
from outrider.manager_stub.catalogue import TenantPlugins
from outrider.plugins.sdk.testing import OperationRun, call, instance_data
from outrider.plugins.ssh import scripts
from outrider.plugins.ssh.access.hostkeys import fingerprint
from outrider.plugins.ssh.fabric_plugin import tasks
from tests.support.hosts import PASSWORDS, Host
from tests.support.shipped_wagons import shipped_wagon
from tests.support.waiting import wait_until

TASKS = "outrider.plugins.ssh.tasks"

pytestmark = [pytest.mark.hosts, pytest.mark.slow]


def environment(host: Host, user: str = "deploy", **more: Any) -> dict[str, Any]:
    """Return the `fabric_env` that logs in to a host with its key pinned."""
    return {
        "host": host.address,
        "user": user,
        "key_filename": str(host.private_key),
        "host_key": fingerprint(host.host_key()),
        "connect_timeout": 10,
        **more,
    }


def do(operation: str, env: Mapping[str, Any], *, inputs: Mapping[str, Any], **more: Any) -> OperationRun:
    return call(f"{TASKS}.{operation}", inputs={"fabric_env": env, **inputs}, **more)


def left_behind(host: Host) -> str:
    """Return what operations left where they work."""
    return host.ask("find /tmp /var/tmp /home /root -name '*outrider*' -not -name '.cache'")


def test_commands_run_in_order_and_their_output_is_logged(shared_host: Host) -> None:
    commands = ["echo one; echo trouble >&2", 'test -n "$BASH" && echo "in $FLAVOUR"']
    env = environment(shared_host, shell_env={"FLAVOUR": "va'nilla"})
    done = do("run_commands", env, inputs={"commands": commands})
    assert done.value_or_raise() == ["one\n", "in va'nilla\n"]
    assert {"<out> one", "<err> trouble", "<out> in va'nilla"} <= set(done.messages)


def test_hidden_output_is_not_logged(shared_host: Host) -> None:
    done = do("run_commands", environment(shared_host), inputs={"commands": ["echo s3"], "hide_output": ["stdout"]})
    assert done.value_or_raise() == ["s3\n"]
    assert "<out> s3" not in done.messages


@pytest.mark.parametrize(("final", "recoverable"), [([], True), ([7], False)])
def test_a_command_that_fails_ends_the_operation(shared_host: Host, final: list[int], recoverable: bool) -> None:
    inputs = {"commands": ["echo why >&2; exit 7", "touch /tmp/left"], "non_recoverable_error_exit_codes": final}
    failed = do("run_commands", environment(shared_host), inputs=inputs)
    assert failed.error is not None
    assert failed.error["recoverable"] is recoverable
    assert "exit code 7" in failed.error["message"]
    assert "why" in failed.error["message"]
    assert not shared_host.exists("/tmp/left")


def test_sudo_gets_its_password_by_standard_input_only(shared_host: Host) -> None:
    env = environment(shared_host, "admin", sudo_password=PASSWORDS["admin"], shell_env={"TOKEN": "hush-hush"})
    command = "id -un; cat /proc/[0-9]*/cmdline | tr '\\0' ' ' > /tmp/left; chmod 644 /tmp/left; echo $TOKEN | wc -c"
    done = do("run_commands", env, inputs={"commands": [command], "use_sudo": True})
    assert done.value_or_raise() == ["root\n10\n"]
    seen = shared_host.read("/tmp/left")
    assert "sudo -k -S" in seen
    assert PASSWORDS["admin"] not in seen
    assert "hush-hush" not in seen
    shared_host.run("rm /tmp/left")


@pytest.mark.parametrize(
    ("user", "password", "text"),
    [
        ("admin", "wrong", "does not take the password"),
        ("admin", None, "asks admin"),
        ("guest", "guest-pass", "may not"),
    ],
)
def test_sudo_that_does_not_open_is_final(shared_host: Host, user: str, password: str | None, text: str) -> None:
    env = environment(shared_host, user, sudo_password=password)
    failed = do("run_commands", env, inputs={"commands": ["true"], "use_sudo": True})
    assert failed.error is not None
    assert not failed.error["recoverable"]
    assert text in failed.error["message"]


def test_a_command_that_takes_too_long_is_ended_on_the_host(shared_host: Host) -> None:
    env = environment(shared_host, command_timeout=1)
    failed = do("run_commands", env, inputs={"commands": ["sleep 1234.5 & sleep 1234.5"]})
    assert failed.error is not None
    assert "did not end within 1 s" in failed.error["message"]
    assert failed.error["recoverable"]
    wait_until(lambda: not running(shared_host, "sleep 1234.5"), 20, "the command's processes to end")


def test_a_root_command_that_takes_too_long_is_ended_on_the_host(shared_host: Host) -> None:
    env = environment(shared_host, command_timeout=1)
    failed = do("run_commands", env, inputs={"commands": ["trap '' TERM; sleep 1234.6"], "use_sudo": True})
    assert failed.error is not None
    wait_until(lambda: not running(shared_host, "sleep 1234.6"), 20, "the command's processes to end")


def running(host: Host, command: str) -> bool:
    return bool(host.ask(f"pgrep -xf '{command}' || true"))


def test_a_shell_script_uses_ctx_and_leaves_nothing(shared_host: Host) -> None:
    script = """\
#!/bin/sh -e
ctx logger info "port is $(ctx node properties port), size $SIZE"
ctx instance runtime-properties made.by "$(id -un)"
cat "$(ctx download-resource greeting.txt)"
cat "$(ctx download-resource-and-render template.txt)"
ctx returns @'{"ok": [1, 2]}'
"""
    done = do(
        "run_script",
        environment(shared_host),
        inputs={"script_path": "go.sh", "SIZE": {"mb": 5}, "use_sudo": True},
        properties={"port": 8080},
        resources={
            "go.sh": script.replace("\n        ", "\n").strip(),
            "greeting.txt": "hi\n",
            "template.txt": "{{ 1 + 1 }}\n",
        },
    )
    assert done.value_or_raise() == {"ok": [1, 2]}
    assert done.runtime_properties == {"made": {"by": "root"}}
    assert 'port is 8080, size {"mb": 5}' in done.messages
    assert {"<out> hi", "<out> 2"} <= set(done.messages)
    assert left_behind(shared_host) == ""


def test_a_python_script_runs_on_the_host_with_ctx_as_an_object(shared_host: Host) -> None:
    script = """\
import socket, sys
from cloudify import ctx

ctx.instance.runtime_properties["host"] = socket.gethostname()
assert ctx.node.properties["port"] == 8080 and "gone" not in ctx.node.properties
ctx.logger.info("%s of %s", ctx.instance.id, ctx.node.name)
ctx.returns(sys.argv[1:])
"""
    done = do(
        "run_script",
        environment(shared_host),
        inputs={"script_path": "go.py", "process": {"args": ["a", "'b c'"]}},
        properties={"port": 8080},
        resources={"go.py": script},
    )
    assert done.value_or_raise() == ["a", "b c"]
    assert done.runtime_properties == {"host": shared_host.ask("hostname")}
    assert "node_1 of node" in done.messages


def test_a_script_ends_its_operation_as_it_wants(shared_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "STOP_GRACE_SECONDS", 0.5)
    env = environment(shared_host)
    retried = do("run_script", env, inputs={"script_source": "ctx retry_operation 'not yet' 12\nsleep 1234.7\n"})
    wait_until(lambda: not running(shared_host, "sleep 1234.7"), 20, "the script's processes to end")
    assert retried.rescheduled
    assert retried.retry_after == 12
    aborted = do("run_script", env, inputs={"script_source": "ctx abort_operation 'no use' || exit 3\n"})
    assert aborted.error is not None
    assert aborted.error["message"] == "no use"
    assert not aborted.error["recoverable"]


def test_two_scripts_on_one_host_do_not_disturb_each_other(shared_host: Host) -> None:
    found: dict[str, OperationRun] = {}

    def one(name: str) -> None:
        source = f"for n in 1 2 3; do ctx instance runtime-properties {name} $n; done; ctx returns {name}\n"
        found[name] = do("run_script", environment(shared_host), inputs={"script_source": source})

    threads = [threading.Thread(target=one, args=(name,)) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {name: run.value_or_raise() for name, run in found.items()} == {"first": "first", "second": "second"}
    assert found["first"].runtime_properties == {"first": "3"}


def test_files_go_there_whole_and_come_back(shared_host: Host) -> None:
    env = environment(shared_host)
    put = {"target_path": "/etc/left.conf", "use_sudo": True, "mode": "0640", "owner": "root:daemon"}
    more = {"resource_path": "t.conf", "template_variables": {"size": 3}, **put}
    do("put_file", env, inputs=more, resources={"t.conf": "size={{ size }}\n"}).value_or_raise()
    assert shared_host.ask("stat -c '%U:%G %a' /etc/left.conf") == "root:daemon 640"
    got = do("get_file", env, inputs={"source_path": "/etc/left.conf", "use_sudo": True, "runtime_property": "conf"})
    assert got.value_or_raise() == "size=3\n"
    assert got.runtime_properties == {"conf": "size=3\n"}
    refused = do("put_file", env, inputs={"target_path": "/etc/left.conf", "content": "x"})
    assert refused.error is not None
    assert "/etc/left.conf" in refused.error["message"]
    assert shared_host.read("/etc/left.conf") == "size=3"
    assert left_behind(shared_host) == ""
    shared_host.run("rm /etc/left.conf")


def test_a_task_function_gets_a_connection(shared_host: Host, tmp_path: Path) -> None:
    fabfile = """\
from fabric import task

@task
def look(connection, word):
    assert connection.run("exit 3", warn=True).return_code == 3
    path = connection.put(__file__, "/tmp/left")
    return [connection.run(f"echo {word}", hide=True).stdout.strip(), connection.sudo("id -un").stdout.strip()]
"""
    inputs = {"tasks_file": "fabfile.py", "task_name": "look", "task_properties": {"word": "deep"}}
    env = environment(shared_host)
    done = do("run_task", env, inputs=inputs, resources={"fabfile.py": fabfile})
    assert done.value_or_raise() == ["deep", "root"]
    assert "def look" in shared_host.read("/tmp/left")
    shared_host.run("rm /tmp/left")
    missing = do("run_task", env, inputs={**inputs, "task_name": "gaze"}, resources={"fabfile.py": fabfile})
    assert missing.error is not None
    assert "no function 'gaze'; it has look" in missing.error["message"]


def test_the_names_of_existing_blueprints_work(shared_host: Host) -> None:
    env = environment(shared_host)
    env["host_string"] = f"admin@{env.pop('host')}:22"
    done = call(tasks.run_commands, inputs={"fabric_env": env, "commands": ["id -un"]})
    assert done.value_or_raise() == ["admin\n"]


def test_a_gateway_leads_to_a_host_behind_it(shared_host: Host) -> None:
    # From the gateway, its own loopback is a host that nobody else reaches.
    gateway = environment(shared_host)
    env = {**environment(shared_host, "admin"), "host": "127.0.0.1", "gateway": gateway}
    assert do("run_commands", env, inputs={"commands": ["id -un"]}).value_or_raise() == ["admin\n"]


def test_an_unknown_host_is_refused_and_a_new_one_is_pinned_if_asked_for(shared_host: Host) -> None:
    env = {**environment(shared_host), "host_key": None, "known_hosts": "/nonexistent"}
    refused = do("run_commands", env, inputs={"commands": ["true"]})
    assert refused.error is not None
    assert not refused.error["recoverable"]
    assert fingerprint(shared_host.host_key()) in refused.error["message"]

    taken = do("run_commands", {**env, "accept_new_host_key": True}, inputs={"commands": ["true"]})
    noted = taken.runtime_properties
    assert noted == {"ssh_host_keys": {shared_host.address: fingerprint(shared_host.host_key())}}
    again = do("run_commands", env, inputs={"commands": ["true"]}, runtime_properties=noted)
    again.value_or_raise()
    other = {"ssh_host_keys": {shared_host.address: "SHA256:another"}}
    changed = do(
        "run_commands", {**env, "accept_new_host_key": True}, inputs={"commands": ["true"]}, runtime_properties=other
    )
    assert changed.error is not None
    assert "make sure that this is the right machine" in changed.error["message"].lower()


def test_a_wrong_password_is_final_once_the_host_has_settled(shared_host: Host) -> None:
    env = {**environment(shared_host, password="wrong"), "key_filename": None}
    early = do("run_commands", env, inputs={"commands": ["true"]})
    late = do("run_commands", env, inputs={"commands": ["true"]}, context={"retry_number": 4})
    assert early.error is not None
    assert late.error is not None
    assert (early.error["recoverable"], late.error["recoverable"]) == (True, False)
    assert "wrong" not in late.error["message"]


def test_a_host_that_is_away_is_tried_again() -> None:
    env = {"host": "127.0.0.1", "port": 1, "user": "u", "password": "p"}
    failed = do("run_commands", env, inputs={"commands": ["true"]})
    assert failed.error is not None
    assert failed.error["recoverable"]
    assert "no SSH server answers at 127.0.0.1:1" in failed.error["message"]


@pytest.mark.parametrize("says", [b"", b"Exceeded MaxStartups\r\n"], ids=["nothing", "too many connections"])
def test_a_server_that_takes_no_more_connections_is_tried_again(says: bytes) -> None:
    """What sshd does with a connection too many: it says so, or nothing, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with server.accept()[0] as connection:
                        connection.sendall(says)

        thread = threading.Thread(target=refuse)
        thread.start()
        env = {"host": "127.0.0.1", "port": server.getsockname()[1], "user": "u", "password": "p", "connect_timeout": 5}
        failed = do("run_commands", env, inputs={"commands": ["true"]}, context={"retry_number": 9})
        server.shutdown(socket.SHUT_RDWR)
        thread.join(20)
    assert failed.error is not None
    assert failed.error["recoverable"], failed.error["message"]


def test_a_server_that_never_answers_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        env = {"host": "127.0.0.1", "port": silent.getsockname()[1], "user": "u", "password": "p", "connect_timeout": 1}
        failed = do("run_commands", env, inputs={"commands": ["true"]})
    assert failed.error is not None
    assert failed.error["recoverable"]


@pytest.mark.parametrize("sudo", [False, True])
def test_an_operation_that_dies_leaves_nothing_on_the_host_and_can_be_run_again(shared_host: Host, sudo: bool) -> None:
    source = "touch made-by-the-script\ntest -e /tmp/again || sleep 1234.8\nctx returns done\n"
    inputs = {"script_source": source, "use_sudo": sudo, "fabric_env": environment(shared_host)}
    code = (
        "import json, sys; from outrider.plugins.sdk.testing import call; "
        f"call('{TASKS}.run_script', inputs=json.loads(sys.argv[1]))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, json.dumps(inputs)])
    try:
        wait_until(lambda: running(shared_host, "sleep 1234.8"), 60, "the script to run on the host")
        assert left_behind(shared_host) != ""
    finally:
        process.kill()
        process.wait(20)
    wait_until(lambda: not running(shared_host, "sleep 1234.8"), 30, "the script's processes to end")
    wait_until(lambda: left_behind(shared_host) == "", 30, "its folder to be removed")
    shared_host.run("touch /tmp/again")
    try:
        assert call(f"{TASKS}.run_script", inputs=inputs).value_or_raise() == "done"
    finally:
        shared_host.run("rm /tmp/again")
    assert left_behind(shared_host) == ""


#: Stops in the middle of any larger piece that it sends.
STOPS_WHILE_IT_SENDS = f"""
import json, signal, sys
from outrider.plugins.sdk.testing import call
from outrider.plugins.ssh.access.running import Running

def send_a_part(running, data, send=Running.send):
    if len(data) < 50_000:
        return send(running, data)
    send(running, data[:1000])
    signal.pause()

Running.send = send_a_part
call("{TASKS}." + sys.argv[1], inputs=json.load(sys.stdin))
"""


def test_an_operation_that_dies_while_it_sends_a_file_leaves_nothing_on_the_host(shared_host: Host) -> None:
    large = "#" * 100_000
    asked: dict[str, dict[str, Any]] = {
        "put_file": {"content": large, "target_path": "/tmp/sent"},
        "run_script": {"script_source": f"#!/bin/sh\n{large}\n", "use_sudo": True},
    }
    with contextlib.ExitStack() as stack:
        for operation, inputs in asked.items():
            command = [sys.executable, "-c", STOPS_WHILE_IT_SENDS, operation]
            process = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, text=True))
            stack.callback(process.kill)
            assert process.stdin is not None
            json.dump({**inputs, "fabric_env": environment(shared_host)}, process.stdin)
            process.stdin.close()
        parts = "find /tmp /var/tmp /home -path '*/outrider-*' -type f -size 1000c"
        wait_until(lambda: len(shared_host.ask(parts).split()) == 2, 60, "a part of both files")
    wait_until(lambda: left_behind(shared_host) == "", 60, "both folders to be removed")
    assert not shared_host.exists("/tmp/sent")


def test_host_user_and_key_come_from_the_deployment_if_not_given(shared_host: Host) -> None:
    agents = {"cloudify_agent": {"user": "deploy", "agent_key_path": str(shared_host.private_key)}}
    env = {"host_key": fingerprint(shared_host.host_key())}
    node: dict[str, Any] = {"host_instance": "vm_1", "host_ip": shared_host.address}
    done = do(
        "run_commands",
        env,
        inputs={"commands": ["id -un"]},
        node=instance_data(**node),
        context={"extras": {"bootstrap_context": agents}},
    )
    assert done.value_or_raise() == ["deploy\n"]


BLUEPRINT = """\
tosca_definitions_version: cloudify_dsl_1_5
imports:
  - cloudify/types/types.yaml
  - plugin:outrider-plugin-ssh:
      fabric_env: {user: admin, accept_new_host_key: true, known_hosts: /nonexistent}
inputs:
  ip: {type: string}
  key_filename: {type: string}
  sudo_password: {type: string}
node_templates:
  machine:
    type: cloudify.nodes.Compute
    properties: {ip: {get_input: ip}, agent_config: {install_method: none}}
  service:
    type: cloudify.nodes.Root
    relationships: [{type: cloudify.relationships.contained_in, target: machine}]
    interfaces:
      cloudify.interfaces.lifecycle:
        create:
          implementation: fabric.fabric_plugin.tasks.run_script
          inputs:
            script_path: install.sh
            use_sudo: true
            fabric_env: &env {key_filename: {get_input: key_filename}, sudo_password: {get_input: sudo_password}}
            WORD: deep
        delete:
          implementation: ssh.outrider.plugins.ssh.tasks.run_commands
          inputs: {commands: [rm /etc/left.conf], use_sudo: true, fabric_env: *env}
outputs:
  word: {value: {get_attribute: [service, word]}}
  keys: {value: {get_attribute: [service, ssh_host_keys]}}
"""
INSTALL = """\
#!/bin/sh -e
echo "$WORD" > /etc/left.conf
ctx instance runtime-properties word "$(cat /etc/left.conf)"
"""


def test_a_blueprint_runs_scripts_on_a_host_without_an_agent(shared_host: Host, tmp_path: Path) -> None:
    blueprint = tmp_path / "site" / "blueprint.yaml"
    blueprint.parent.mkdir()
    blueprint.write_text(BLUEPRINT)
    (blueprint.parent / "install.sh").write_text(INSTALL)
    home = Home(tmp_path / "home")
    engine = EngineSettings(max_retries=2, retry_interval_seconds=1.0)
    with opened(CommandSettings(home, ConnectionSettings(), engine, {})) as local:
        dispatcher = local.dispatcher
        register(dispatcher.database, ContentStore(home.files), shipped_wagon("ssh"))
        catalogue = TenantPlugins(dispatcher.database, dispatcher.tenant)
        dispatcher.create_blueprint("site", blueprint, settings=BlueprintSettings(plugins=catalogue))
        inputs = {
            "ip": shared_host.address,
            "key_filename": str(shared_host.private_key),
            "sudo_password": PASSWORDS["admin"],
        }
        dispatcher.create_deployment("site", "site", inputs=inputs)

        installed = dispatcher.run("install", "site", timeout_seconds=100)
        assert installed.status is Status.TERMINATED, installed.error
        keys = {shared_host.address: fingerprint(shared_host.host_key())}
        assert dispatcher.outputs("site") == {"word": "deep", "keys": keys}
        assert shared_host.read("/etc/left.conf") == "deep"

        removed = dispatcher.run("uninstall", "site", timeout_seconds=100)
        assert removed.status is Status.TERMINATED, removed.error
    assert not shared_host.exists("/etc/left.conf")
    assert left_behind(shared_host) == ""
