"""The `outrider` command as people and jobs use it: exit codes, output, Ctrl-C. Embedded default, a home of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import wait_until

LIMIT_SECONDS = 110
Outrider = Callable[..., "subprocess.CompletedProcess[str]"]

SLOW_PLUGIN = """
import time
from outrider.plugins.sdk import operation

@operation
def create(*, marker, **_):
    with open(marker, "a") as file:
        file.write("begun\\n")
    time.sleep(600)
"""
SLOW_BLUEPRINT = """tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml]
inputs: {{marker: {{default: {marker}}}}}
plugins: {{slow: {{executor: central_deployment_agent, source: slow.py}}}}
node_templates:
  one:
    type: cloudify.nodes.Root
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {{implementation: slow.slow.create, inputs: {{marker: {{get_input: marker}}}}}}
"""
HOST_BLUEPRINT = """tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml]
node_templates: {vm: {type: cloudify.nodes.Compute, properties: {ip: 10.0.0.5}}}
"""


@pytest.fixture
def outrider(tmp_path: Path) -> Outrider:
    """Run the command with a home of this test's own."""
    environment = {**os.environ, "OUTRIDER_HOME": str(tmp_path / "home")}

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "outrider.cli", *arguments]
        return subprocess.run(
            command, env=environment, input=stdin, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
        )

    return run


def parsed(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_the_files_of_init_install_show_outputs_and_uninstall(outrider: Outrider, tmp_path: Path) -> None:
    folder = tmp_path / "hello"
    assert outrider("init", str(folder)).returncode == 0
    installed = parsed(outrider("run", str(folder / "blueprint.yaml"), "-i", "name=test", "--json"))
    assert installed["status"] == "terminated"
    assert installed["outputs"] == {"greeting": "Hello, test!"}
    shown = outrider("execution", "show", installed["id"][:8])
    assert "create" in shown.stdout
    assert "queue" in shown.stdout
    assert "Hello, test!" in outrider("deployment", "show", "hello").stdout
    assert "create" in outrider("events", installed["id"][:8]).stdout
    refused = outrider("deployment", "delete", "hello")
    assert refused.returncode == 2
    assert "uninstall it first" in refused.stderr
    unchanged = outrider("run", str(folder / "blueprint.yaml"), "uninstall")
    assert unchanged.returncode == 0
    assert "keeps the blueprint" not in unchanged.stderr
    with (folder / "hello.py").open("a", encoding="utf-8") as file:
        file.write("# edited\n")
    edited = outrider("run", str(folder / "blueprint.yaml"), "uninstall", "--force")
    assert edited.returncode == 0, edited.stderr
    assert "hello keeps the blueprint that it was made of, in which hello.py was different" in edited.stderr
    assert outrider("deployment", "delete", "hello").returncode == 0


def test_an_update_is_previewed_and_made(outrider: Outrider, tmp_path: Path) -> None:
    folder = tmp_path / "hello"
    assert outrider("init", str(folder)).returncode == 0
    assert outrider("run", str(folder / "blueprint.yaml"), "-i", "name=old").returncode == 0
    again = outrider("run", str(folder / "blueprint.yaml"), "-i", "name=old")
    assert again.returncode == 2
    assert "1 of 1 instances are started" in again.stderr
    assert "outrider run --force" in again.stderr
    misspelt = outrider("run", str(folder / "blueprint.yaml"), "-i", "nam=old")
    assert misspelt.returncode == 2
    assert "has no input 'nam', only name: is it misspelt?" in misspelt.stderr
    forced = outrider("run", str(folder / "blueprint.yaml"), "-i", "name=old", "--force")
    assert forced.returncode == 0, forced.stderr
    change = ("deployment", "update", "hello", "-i", "name=new", "-p", "force_reinstall=true")
    assert "create" in outrider(*change, "--preview").stdout
    assert json.loads(outrider("deployment", "outputs", "hello", "--json").stdout) == {"greeting": "Hello, old!"}
    updated = outrider(*change)
    assert updated.returncode == 0, updated.stderr
    assert json.loads(outrider("deployment", "outputs", "hello", "--json").stdout) == {"greeting": "Hello, new!"}


def test_a_failed_run_names_the_command_that_shows_its_traceback_and_output(outrider: Outrider, tmp_path: Path) -> None:
    folder = tmp_path / "hello"
    assert outrider("init", str(folder)).returncode == 0
    plugin = folder / "hello.py"
    text = plugin.read_text().replace("sdk import ctx", "sdk import NonRecoverableError, ctx")
    plugin.write_text(text.replace("return text", "print('so far')\n    raise NonRecoverableError(text)"))
    failed = outrider("run", str(folder / "blueprint.yaml"))
    assert failed.returncode == 1
    (more,) = re.findall("outrider execution show ([0-9a-f]{8})", failed.stderr)
    shown = outrider("execution", "show", more).stdout
    assert 'hello.py", line' in shown
    assert "printed to standard output:\n    so far\n" in shown


def test_init_does_not_overwrite_files(outrider: Outrider, tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text("mine")
    done = outrider("init", str(tmp_path))
    assert done.returncode == 2
    assert "hello.py" in done.stderr
    assert (tmp_path / "hello.py").read_text() == "mine"


def test_every_mistake_of_a_blueprint_is_reported_with_its_place(outrider: Outrider, tmp_path: Path) -> None:
    file = tmp_path / "blueprint.yaml"
    file.write_text(
        "tosca_definitions_version: cloudify_dsl_1_3\n"
        "imports: [cloudify/types/types.yaml]\n"
        "node_templates:\n"
        "  a: {type: cloudify.nodes.Rot}\n"
        "  b:\n"
        "    type: cloudify.nodes.Root\n"
        "    relationships: [{type: cloudify.relationships.connected_to, target: nowhere}]\n"
    )
    done = outrider("run", str(file))
    assert done.returncode == 2
    assert f"{file}:4:" in done.stderr
    assert f"{file}:7:" in done.stderr
    assert "cloudify.nodes.Root" in done.stderr
    assert "2 errors" in done.stderr
    found = parsed(outrider("blueprint", "validate", str(file), "--json"))
    assert {error["line"] for error in found["errors"]} == {4, 7}


def test_a_failing_operation_is_exit_code_1_with_its_reason(outrider: Outrider) -> None:
    done = outrider("exec", "echo to-standard-error >&2; exit 7")
    assert done.returncode == 1
    assert "to-standard-error" in done.stdout
    # Told once, without the workflow around it.
    assert "ended with exit code 7" in done.stderr
    assert (done.stdout + done.stderr).count("exit code 7") == 1
    assert "workflow" not in done.stdout + done.stderr


def test_hosts_that_want_agents_need_a_broker_and_nothing_is_made_without(outrider: Outrider, tmp_path: Path) -> None:
    blueprint = tmp_path / "blueprint.yaml"
    blueprint.write_text(HOST_BLUEPRINT)

    done = outrider("run", str(blueprint))

    assert done.returncode == 2
    assert "vm (remote)" in done.stderr
    assert "outrider broker setup" in done.stderr
    assert parsed(outrider("deployment", "list", "--json")) == []


def test_exec_returns_what_the_operation_returns(outrider: Outrider) -> None:
    found = parsed(outrider("exec", "ctx returns $((6 * 7))", "--json"))
    assert found["status"] == "terminated"
    assert found["value"] == "42"


def test_ctrl_c_cancels_and_leaves_no_process(outrider: Outrider, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    (tmp_path / "slow.py").write_text(SLOW_PLUGIN)
    (tmp_path / "blueprint.yaml").write_text(SLOW_BLUEPRINT.format(marker=marker))
    environment = {**os.environ, "OUTRIDER_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "outrider.cli", "run", str(tmp_path / "blueprint.yaml"), "-d", "slow"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            wait_until(marker.exists, 60, "the operation to begin")
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 3, output.decode()
    assert "cancelling" in output.decode()
    listed = parsed(outrider("execution", "list", "--json"))
    assert [each["status"] for each in listed] == ["cancelled"]
    assert marker.read_text() == "begun\n"


def test_secrets_are_listed_without_their_values(outrider: Outrider) -> None:
    assert outrider("secret", "set", "token", stdin="s3cr3t-value\n").returncode == 0
    listed = outrider("secret", "list", "--json")
    assert "token" in listed.stdout
    assert "s3cr3t-value" not in listed.stdout
    assert outrider("secret", "delete", "token").returncode == 0
    missing = outrider("secret", "delete", "token")
    assert missing.returncode == 2
    assert "token" in missing.stderr


def test_settings_are_shown_with_their_origin_and_without_passwords(outrider: Outrider, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "outrider.toml").write_text('broker_urls = ["amqp://user:pass-word@host/vhost"]\nmax_retries = 3\n')
    found = parsed(outrider("config", "show", "--json"))
    assert found["max_retries"] == {"value": 3, "origin": str(home / "outrider.toml")}
    assert found["lease_seconds"]["origin"] == "default"
    assert "pass-word" not in json.dumps(found)
    (home / "outrider.toml").write_text('max_retry = 3\nlease_seconds = "soon"\n')
    wrong = outrider("config", "show")
    assert wrong.returncode == 2
    assert "max_retry" in wrong.stderr
    assert "lease_seconds" in wrong.stderr


def test_a_plugin_is_built_shown_checked_and_made_known(outrider: Outrider, tmp_path: Path) -> None:
    source = tmp_path / "tiny.py"
    source.write_text('"""A plugin."""\n\n\ndef create(**_):\n    return "made"\n')
    built = outrider("plugin", "build", str(source), "-o", str(tmp_path), "-q")
    wagon = built.stdout.strip()
    assert Path(wagon).exists(), built.stderr
    assert parsed(outrider("plugin", "show", wagon, "--json"))["name"] == "tiny"
    assert outrider("plugin", "verify", wagon).returncode == 0
    assert outrider("plugin", "check", wagon).returncode == 0
    assert outrider("plugin", "install", wagon).returncode == 0
    assert [each["package_name"] for each in parsed(outrider("plugin", "list", "--json"))] == ["tiny"]
    assert parsed(outrider("exec", "tiny.create", "--plugin", "tiny", "--json"))["value"] == "made"


def test_help_names_every_command(outrider: Outrider) -> None:
    text = re.sub(r"\s+", " ", outrider("--help").stdout)
    for command in ("run", "blueprint", "plugin", "execution", "exec", "agent", "dispatcher", "secret", "config"):
        assert f" {command} " in text
