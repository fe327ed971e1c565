"""The real `cfy` 7.0.5 drives the manager: SQLite and the embedded broker, everything in one process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cfy import ID, Cfy, installed, write_blueprint
from tests.support.managers import Running, manager_process
from tests.support.wagons import WagonMaker
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with manager_process(tmp_path_factory.mktemp("manager") / "home") as running:
        yield running


@pytest.fixture(scope="module")
def cfy(manager: Running, tmp_path_factory: pytest.TempPathFactory) -> Cfy:
    made = Cfy(installed(), tmp_path_factory.mktemp("cfy"))
    made(
        "profiles", "use", "127.0.0.1", "-u", "admin", "-p", manager.password, "-t", "default_tenant",
        "--rest-port", str(manager.port),
    )  # fmt: skip
    return made


@pytest.fixture(scope="module")
def blueprint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blueprint(tmp_path_factory.mktemp("blueprint"))


@pytest.fixture(scope="module")
def uploaded(cfy: Cfy, blueprint: Path) -> str:
    cfy("blueprints", "upload", str(blueprint), "-b", "shared")
    return "shared"


def test_a_profile_is_used_and_the_status_is_shown(cfy: Cfy) -> None:
    assert "Dispatcher" in cfy("status")
    assert "7.0.5" in cfy("--version")
    assert "127.0.0.1" in cfy("profiles", "list")


def test_a_wrong_password_is_refused(cfy: Cfy, manager: Running, tmp_path: Path) -> None:
    other = Cfy(cfy.command, tmp_path)
    other.fails("profiles", "use", "127.0.0.1", "-u", "admin", "-p", "wrong", "--rest-port", str(manager.port))


def test_a_plugin_is_uploaded_shown_downloaded_and_deleted(cfy: Cfy, tmp_path: Path) -> None:
    wagon = WagonMaker(name="toy", version="1.2").write(tmp_path)
    yaml = tmp_path / "plugin.yaml"
    yaml.write_text("plugins: {toy: {executor: central_deployment_agent, package_name: toy, package_version: '1.2'}}\n")
    plugin_id = ID.search(cfy("plugins", "upload", str(wagon), "-y", str(yaml)))
    assert plugin_id is not None
    assert [each["package_name"] for each in cfy.listed("plugins", "list")] == ["toy"]
    assert "1.2" in cfy("plugins", "get", plugin_id[0])
    target = tmp_path / "copy.wgn"
    cfy("plugins", "download", plugin_id[0], "-o", str(target))
    assert target.read_bytes() == wagon.read_bytes()
    assert "409" in cfy.fails("plugins", "upload", str(wagon), "-y", str(yaml))
    cfy("plugins", "set-visibility", plugin_id[0], "-l", "global")
    assert "global" in cfy("plugins", "get", plugin_id[0])
    cfy("plugins", "delete", plugin_id[0])
    assert cfy.listed("plugins", "list") == []
    assert "not found" in cfy.fails("plugins", "get", plugin_id[0])


def test_a_plugin_that_a_blueprint_uses_is_kept(cfy: Cfy, tmp_path: Path) -> None:
    wagon = WagonMaker(name="kept", version="1.0").write(tmp_path)
    yaml = tmp_path / "plugin.yaml"
    yaml.write_text(
        "plugins: {kept: {executor: central_deployment_agent, package_name: kept, package_version: '1.0'}}\n"
        "node_types:\n  kept.Node:\n    derived_from: cloudify.nodes.Root\n    interfaces:\n"
        "      cloudify.interfaces.lifecycle: {create: kept.tasks.create}\n"
    )
    cfy("plugins", "upload", str(wagon), "-y", str(yaml))
    main = tmp_path / "blueprint.yaml"
    main.write_text(
        "tosca_definitions_version: cloudify_dsl_1_3\nimports: [cloudify/types/types.yaml, 'plugin:kept']\n"
        "node_templates: {one: {type: kept.Node}}\n"
    )
    cfy("blueprints", "upload", str(main), "-b", "keeper")
    plugin = str(cfy.listed("plugins", "list")[0]["id"])
    assert "405" in cfy.fails("plugins", "delete", plugin)
    cfy("blueprints", "delete", "keeper")
    cfy("plugins", "delete", plugin)


def test_a_blueprint_is_uploaded_shown_downloaded_and_deleted(cfy: Cfy, blueprint: Path, tmp_path: Path) -> None:
    assert "Blueprint uploaded" in cfy("blueprints", "upload", str(blueprint), "-b", "one")
    assert "one" in [each["id"] for each in cfy.listed("blueprints", "list")]
    assert "one" in cfy("blueprints", "get", "one")
    assert "pause" in cfy("blueprints", "inputs", "one")
    cfy("blueprints", "download", "one", "-o", str(tmp_path / "one.tar.gz"))
    assert (tmp_path / "one.tar.gz").stat().st_size > 100
    assert "409" in cfy.fails("blueprints", "upload", str(blueprint), "-b", "one")
    cfy("blueprints", "delete", "one")
    assert "not found" in cfy.fails("blueprints", "get", "one")


def test_a_blueprint_with_a_mistake_is_refused_with_its_place(cfy: Cfy, tmp_path: Path) -> None:
    main = tmp_path / "blueprint.yaml"
    main.write_text(
        "tosca_definitions_version: cloudify_dsl_1_3\nimports: [cloudify/types/types.yaml]\n"
        "node_templates: {one: {type: no.such.Type}}\n"
    )
    output = cfy.fails("blueprints", "upload", str(main), "-b", "wrong")
    assert "blueprint.yaml:3:" in output
    assert "no.such.Type" in output
    assert "/uploads/" not in output
    cfy("blueprints", "delete", "wrong")


def test_a_deployment_lives_from_creation_to_deletion(cfy: Cfy, uploaded: str) -> None:
    cfy("deployments", "create", "life", "-b", uploaded, "-i", "name=you")
    assert "life" in [each["id"] for each in cfy.listed("deployments", "list")]
    assert "you" in cfy("deployments", "inputs", "life")
    assert "you" in cfy("deployments", "capabilities", "life")
    assert "install" in cfy("workflows", "list", "-d", "life")
    output = cfy("executions", "start", "install", "-d", "life")
    assert "line 1 for you" in output
    assert "'install' workflow execution succeeded" in output
    assert "hello you" in cfy("deployments", "outputs", "life")
    execution = ID.search(output)
    assert execution is not None
    assert "completed" in cfy("executions", "get", execution[0])
    assert "line 1 for you" in cfy("events", "list", execution[0])
    assert execution[0] in [each["id"] for each in cfy.listed("executions", "list", "-d", "life")]
    assert "uninstall it" in cfy.fails("deployments", "delete", "life")
    cfy("executions", "start", "uninstall", "-d", "life")
    assert "deleted" in cfy("deployments", "delete", "life").lower()
    assert "life" not in [each["id"] for each in cfy.listed("deployments", "list")]


def test_wrong_inputs_are_named(cfy: Cfy, uploaded: str) -> None:
    assert "nonsense" in cfy.fails("deployments", "create", "bad-inputs", "-b", uploaded, "-i", "nonsense=1")


def test_install_and_uninstall_do_everything(cfy: Cfy, blueprint: Path) -> None:
    output = cfy("install", str(blueprint), "-b", "whole", "-d", "whole", "-i", "name=all")
    assert "line 1 for all" in output
    output = cfy("uninstall", "whole")
    assert "Blueprint deleted" in output
    assert "whole" not in [each["id"] for each in cfy.listed("blueprints", "list")]


def test_more_than_a_page_of_events_is_shown_once_and_in_order(cfy: Cfy, uploaded: str) -> None:
    cfy("deployments", "create", "talk", "-b", uploaded, "-i", "lines=120")
    output = cfy("executions", "start", "install", "-d", "talk")
    found = [int(number) for number in re.findall(r"line (\d+) for", output)]
    assert found == list(range(1, 121))
    execution = ID.search(output)
    assert execution is not None
    assert len(re.findall(r"line \d+ for", cfy("events", "list", execution[0]))) == 120


def test_a_failed_execution_resumes_where_it_failed(cfy: Cfy, tmp_path: Path) -> None:
    main = tmp_path / "blueprint.yaml"
    flag = tmp_path / "there"
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "create.sh").write_text(f"#!/bin/bash\ntest -e {flag} || {{ echo missing >&2; exit 3; }}\n")
    main.write_text(
        "tosca_definitions_version: cloudify_dsl_1_3\nimports: [cloudify/types/types.yaml]\n"
        "node_templates:\n  one:\n    type: cloudify.nodes.Root\n    interfaces:\n"
        "      cloudify.interfaces.lifecycle:\n"
        "        create: {implementation: scripts/create.sh, max_retries: 0}\n"
    )
    cfy("blueprints", "upload", str(main), "-b", "needy")
    cfy("deployments", "create", "needy", "-b", "needy")
    output = cfy.fails("executions", "start", "install", "-d", "needy")
    assert "'install' workflow execution failed" in output
    execution = ID.search(output)
    assert execution is not None
    flag.touch()
    cfy("executions", "resume", execution[0])
    wait_until(lambda: "completed" in cfy("executions", "get", execution[0]), 60, "the resumed execution")
    assert {each["state"] for each in cfy.listed("node-instances", "list", "-d", "needy")} == {"started"}


def test_a_running_execution_is_cancelled(cfy: Cfy, uploaded: str, manager: Running) -> None:
    cfy("deployments", "create", "slow", "-b", uploaded, "-i", "pause=120")
    started = manager.call("POST", "/executions", json={"deployment_id": "slow", "workflow_id": "install"}).json()
    wait_until(
        lambda: manager.call("GET", f"/events?execution_id={started['id']}&type=cloudify_log").json()["items"],
        30,
        "the operation's first line",
    )
    assert "400" in cfy.fails("executions", "start", "install", "-d", "slow")
    cfy("executions", "cancel", started["id"])
    wait_until(
        lambda: manager.call("GET", f"/executions/{started['id']}").json()["status"] == "cancelled", 60, "the cancel"
    )
    assert "400" in cfy.fails("executions", "cancel", started["id"])


def test_nodes_and_instances_are_listed_and_changed(cfy: Cfy, uploaded: str) -> None:
    cfy("deployments", "create", "parts", "-b", uploaded)
    assert {each["id"] for each in cfy.listed("nodes", "list", "-d", "parts")} == {"base", "service"}
    assert "cloudify.nodes.Root" in cfy("nodes", "get", "service", "-d", "parts")
    assert "not found" in cfy.fails("nodes", "get", "missing", "-d", "parts")
    assert "uninitialized" in cfy("node-instances", "summary", "state", "deployment_id")
    instance = next(
        str(each["id"]) for each in cfy.listed("node-instances", "list", "-d", "parts") if each["node_id"] == "service"
    )
    cfy("node-instances", "update-runtime", instance, "-p", "color=blue")
    assert "blue" in cfy("node-instances", "get", instance)
    cfy("node-instances", "delete-runtime", instance, "-p", "color")
    assert "blue" not in cfy("node-instances", "get", instance)


def test_the_agent_of_the_process_is_listed(cfy: Cfy) -> None:
    assert "central" in cfy("agents", "list")


def test_secrets_are_kept(cfy: Cfy) -> None:
    cfy("secrets", "create", "door", "-s", "1234")
    assert "1234" in cfy("secrets", "get", "door")
    assert "1234" not in cfy("secrets", "list")
    assert "409" in cfy.fails("secrets", "create", "door", "-s", "5678")
    cfy("secrets", "update", "door", "-s", "5678")
    assert "5678" in cfy("secrets", "get", "door")
    cfy("secrets", "delete", "door")
    assert "door" not in cfy("secrets", "list")


def test_tenants_and_users_are_managed(cfy: Cfy) -> None:
    cfy("tenants", "create", "north")
    cfy("users", "create", "ann", "-p", "a long password")
    cfy("tenants", "add-user", "ann", "-t", "north", "-r", "viewer")
    assert "north" in cfy("tenants", "list")
    assert "ann" in cfy("users", "list")
    assert "ann" in cfy("users", "get", "ann")
    cfy("users", "deactivate", "ann")
    cfy("users", "activate", "ann")
    cfy("tenants", "remove-user", "ann", "-t", "north")
    cfy("users", "delete", "ann")
    cfy("tenants", "delete", "north")


def test_a_token_logs_in_until_it_is_deleted(cfy: Cfy, manager: Running, tmp_path: Path) -> None:
    output = cfy("tokens", "create", "-d", "for a test", "-e", "+10h")
    value = re.search(r"ctok-[0-9a-f]+-\w+", output)
    assert value is not None, output
    other = Cfy(cfy.command, tmp_path)
    other("profiles", "use", "127.0.0.1", "--manager-token", value[0], "--rest-port", str(manager.port))
    assert "Dispatcher" in other("status")
    token_id = value[0].split("-")[1]
    assert value[0] not in cfy("tokens", "list")
    cfy("tokens", "delete", token_id)
    other.fails("blueprints", "list")


def test_a_deployment_is_updated(cfy: Cfy, uploaded: str) -> None:
    cfy("deployments", "create", "moving", "-b", uploaded, "-i", "name=old")
    cfy("executions", "start", "install", "-d", "moving")
    cfy("deployments", "update", "moving", "-i", "name=new")
    assert "new" in cfy("deployments", "inputs", "moving")


def test_dry_runs_change_nothing(cfy: Cfy, uploaded: str) -> None:
    cfy("deployments", "create", "dry", "-b", uploaded)
    cfy("executions", "start", "install", "-d", "dry", "--dry-run")
    states = {each["state"] for each in cfy.listed("node-instances", "list", "-d", "dry")}
    assert states == {"uninitialized"}
