"""Hosts that ask this machine for their agent: which address they are told, and what they are answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from outrider.cli.home import Home
from outrider.cli.host_agents import SettingsHostAgents, host_agents_of
from outrider.cli.settings import CommandSettings, ConnectionSettings
from outrider.dispatcher.dispatcher import Dispatcher
from outrider.dispatcher.errors import DispatcherError
from outrider.dispatcher.files import ContentStore, EnrolmentDelayed, EnrolmentRefused, FileTokens, Subject, SubjectKind
from outrider.dispatcher.secrets import DatabaseTable, KeyRing, SecretStore
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.store import agents
from outrider.dispatcher.store.agents import Agent
from outrider.dispatcher.store.database import Database
from outrider.installer.access import InstallerAccess
from outrider.manager_stub import Manager, ManagerServer, ManagerSettings
from outrider.messaging.embedded import EmbeddedBroker
from outrider.messaging.messages import FilesRef
from tests.support.waiting import wait_until

BROKER = "amqp://me:pw@127.0.0.1:1/fleet"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'outrider.db'}")
    yield made
    made.close()


@pytest.fixture
def made(database: Database, tmp_path: Path) -> SettingsHostAgents:
    """Return what answers, with a broker that is down and a bundle that is not there."""
    # A path below a file: no bundle can be made there, so nothing is tried for long.
    (tmp_path / "file").touch()
    access = InstallerAccess((BROKER,), "http://admin:pw@127.0.0.1:1", bundle=str(tmp_path / "file" / "agent.tar"))
    return SettingsHostAgents(access, database, ContentStore(tmp_path / "files"), FileTokens(b"k" * 32))


@pytest.mark.parametrize("url", ["http://127.0.0.1:8180/files", "http://localhost/files", "http://0.0.0.0:1/files"])
def test_a_script_with_an_address_that_hosts_cannot_reach_is_refused(made: SettingsHostAgents, url: str) -> None:
    made.files_for = lambda _agent: FilesRef(url, "t")

    with pytest.raises(DispatcherError, match="set files_host to an address"):
        made.init_script("vm-1")


def test_a_script_names_program_address_and_a_token_for_this_agent_alone(made: SettingsHostAgents) -> None:
    made.files_for = lambda _agent: FilesRef("https://10.0.0.4:8180/files", "t", "the authority")

    script = made.init_script("vm-1")

    token = next(word for word in script.split('"') if word.startswith("f1."))
    subject = made._tokens.verify(token)
    assert (subject.kind, subject.id) == (SubjectKind.ENROLMENT, "vm-1")
    assert "https://10.0.0.4:8180/files" in script
    assert "the authority" in script
    assert made._program in script
    assert "pw@" not in script


def test_only_an_expected_agent_is_answered(
    made: SettingsHostAgents, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(EnrolmentRefused, match="no host is expected"):
        made.enrol("vm-1", {})
    with database.begin() as connection:
        agents.save(connection, Agent(id="vm-1", state="creating", instance="vm_1", created_at=1.0))
    with pytest.raises(EnrolmentDelayed, match="is being made"):
        made.enrol("vm-1", {})
    wait_until(lambda: "no agent can be brought to hosts" in caplog.text, describe="why there is no bundle, in the log")


def test_an_agent_that_reports_is_offered_this_release_and_no_other_agent_is(
    made: SettingsHostAgents, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    asked = {"upgrade": {"python": "3.11", "platform": "linux-x86_64"}}
    with pytest.raises(EnrolmentRefused, match="was never heard of"):
        made.enrol("vm-1", asked)
    with database.begin() as connection:
        agents.save(connection, Agent(id="vm-1", state="alive", created_at=1.0, last_seen_at=2.0))
    # Known, and there is no bundle yet.
    with pytest.raises(EnrolmentDelayed, match="is being made"):
        made.enrol("vm-1", asked)
    wait_until(lambda: "no agent can be brought to hosts" in caplog.text, describe="why there is no bundle, in the log")


def test_the_access_names_where_this_agent_fetches_its_files(made: SettingsHostAgents) -> None:
    assert InstallerAccess.from_json(made.installer_access("vm-1")).files is None
    made.files_for = lambda agent: FilesRef("https://10.0.0.4/files", f"token of {agent}")

    access = InstallerAccess.from_json(made.installer_access("vm-1"))

    assert access.files == {"url": "https://10.0.0.4/files", "token": "token of vm-1", "ca_pem": None}
    subject = made._tokens.verify(access.files_token)
    assert (subject.kind, subject.id) == (SubjectKind.ENROLMENT, "vm-1")
    assert "token of" not in repr(access)


@pytest.mark.parametrize(
    ("settings", "there"),
    [
        ({}, False),
        ({"broker_urls": (BROKER,)}, False),
        ({"broker_urls": (BROKER,), "broker_management_url": "http://admin:pw@broker"}, True),
    ],
)
def test_agents_need_a_broker_that_can_be_managed(
    database: Database, tmp_path: Path, settings: dict[str, Any], there: bool
) -> None:
    home = Home(tmp_path)
    command = CommandSettings(home, ConnectionSettings(**settings), EngineSettings(lease_seconds=8.0), {})

    found = host_agents_of(command, database, ContentStore(tmp_path / "files"))

    assert (found is not None) is there
    if found is not None:
        access = InstallerAccess.from_json(found.installer_access("vm-1"))
        assert access.lease_seconds == 8.0
        assert access.bundle.startswith(str(tmp_path / "bundles"))


def test_a_manager_answers_hosts_too(made: SettingsHostAgents, database: Database, tmp_path: Path) -> None:
    tokens = made._tokens
    transport = EmbeddedBroker().transport()
    dispatcher = Dispatcher(database=database, files=tmp_path / "files", transport=transport)
    secrets = SecretStore(DatabaseTable(database), KeyRing(tmp_path / "secret.key"))
    settings = ManagerSettings(port=0, work=tmp_path / "uploads")
    manager = Manager(dispatcher, secrets, settings, file_tokens=tokens, enrol=made.enrol)
    token = tokens.issue(Subject(kind=SubjectKind.ENROLMENT, id="vm-1"), lifetime_seconds=60)
    try:
        with ManagerServer(manager) as server:
            answered = requests.post(
                f"{server.url}/files/agents", json={}, headers={"Authorization": f"Bearer {token}"}, timeout=20
            )
    finally:
        transport.close()

    assert answered.status_code == 403
    assert "no host is expected" in answered.text
