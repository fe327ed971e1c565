"""The real `cfy` 7.0.5 against what production runs: PostgreSQL, RabbitMQ, TLS, dispatchers and agent of their own.

What the commands print and refuse is tested on the embedded default (`test_cfy`); here the flows that touch database,
broker and network go all the way once.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cfy import ID, Cfy, installed, write_blueprint
from tests.support.managers import Running, manager_process
from tests.support.postgres import new_database
from tests.support.processes import ServiceProcess
from tests.support.rabbitmq import RabbitNode
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory, rabbitmq: RabbitNode) -> Iterator[Running]:
    """A manager over TLS, and beside it a dispatcher with the central agent, as services of their own."""
    folder = tmp_path_factory.mktemp("production")
    vhost, database, home = rabbitmq.add_vhost(), new_database(), folder / "home"
    try:
        with manager_process(home, "--tls", "--broker", vhost.url, "--database", database) as running:
            environment = {
                **os.environ,
                "OUTRIDER_HOME": str(home),
                "OUTRIDER_BROKER_URLS": vhost.url,
                "OUTRIDER_DATABASE_URL": database,
            }
            command = [sys.executable, "-m", "outrider.cli", "dispatcher", "run"]
            dispatcher = ServiceProcess(command, environment=environment, log=folder / "dispatcher.log")
            dispatcher.start()
            try:
                wait_until(
                    lambda: running.call("GET", "/agents?state=started").json()["items"] or not dispatcher.running,
                    60,
                    f"the central agent ({dispatcher.log})",
                )
                assert dispatcher.running, dispatcher.log.read_text()
                yield running
            finally:
                dispatcher.terminate()
    finally:
        rabbitmq.drop_vhost(vhost)


@pytest.fixture(scope="module")
def cfy(manager: Running, tmp_path_factory: pytest.TempPathFactory) -> Cfy:
    made = Cfy(installed(), tmp_path_factory.mktemp("cfy"))
    made(
        "profiles", "use", "127.0.0.1", "-u", "admin", "-p", manager.password, "-t", "default_tenant",
        "--rest-port", str(manager.port), "--ssl", "-c", str(manager.home / "tls" / "ca.pem"),
    )  # fmt: skip
    return made


def test_a_manager_whose_authority_is_not_trusted_gets_no_password(cfy: Cfy, manager: Running, tmp_path: Path) -> None:
    stranger = Cfy(cfy.command, tmp_path)
    output = stranger.fails(
        "profiles", "use", "127.0.0.1", "-u", "admin", "-p", manager.password, "--rest-port", str(manager.port),
        "--ssl",
    )  # fmt: skip
    assert "certificate" in output.lower()


def test_a_deployment_is_installed_updated_and_removed(cfy: Cfy, tmp_path: Path) -> None:
    blueprint = write_blueprint(tmp_path)
    output = cfy("install", str(blueprint), "-b", "whole", "-d", "whole", "-i", "name=you", "-i", "lines=3")
    assert [int(number) for number in re.findall(r"line (\d+) for you", output)] == list(range(1, 4))
    assert "'install' workflow execution succeeded" in output
    assert "hello you" in cfy("deployments", "outputs", "whole")
    cfy("deployments", "update", "whole", "-i", "name=them")
    assert "them" in cfy("deployments", "capabilities", "whole")
    assert {each["state"] for each in cfy.listed("node-instances", "list", "-d", "whole")} == {"started"}
    assert "central" in cfy("agents", "list")
    assert "Blueprint deleted" in cfy("uninstall", "whole")
    assert cfy.listed("deployments", "list") == []


def test_a_second_terminal_tails_what_runs_and_cancels_it(cfy: Cfy, tmp_path: Path) -> None:
    cfy("blueprints", "upload", str(write_blueprint(tmp_path)), "-b", "slow")
    cfy("deployments", "create", "slow", "-b", "slow", "-i", "lines=120", "-i", "pause=120")
    output = cfy.fails("executions", "start", "install", "-d", "slow", "--timeout", "0")
    found = ID.search(output)
    assert found is not None, output
    tail = subprocess.Popen(
        [str(cfy.command), "events", "list", "--tail", found[0]],
        env=cfy.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_until(lambda: "line 120 for world" in cfy("events", "list", found[0]), 60, "the operation's last line")
    cfy("executions", "cancel", found[0], "--kill")
    told, _ = tail.communicate(timeout=60)
    assert [int(number) for number in re.findall(r"line (\d+) for world", told)] == list(range(1, 121))
    assert "cancelled" in told
    assert "cancelled" in cfy("executions", "get", found[0])


def test_secrets_tenants_and_tokens_are_kept_in_postgresql(cfy: Cfy) -> None:
    cfy("secrets", "create", "door", "-s", "1234")
    assert "1234" in cfy("secrets", "get", "door")
    cfy("tenants", "create", "north")
    cfy("users", "create", "ann", "-p", "a long password")
    cfy("tenants", "add-user", "ann", "-t", "north", "-r", "viewer")
    assert {each["name"] for each in cfy.listed("tenants", "list")} == {"default_tenant", "north"}
    assert "ctok-" in cfy("tokens", "create", "-d", "for a test")
