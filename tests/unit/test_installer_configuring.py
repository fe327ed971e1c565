"""The agent's password at the broker and on its host stay one, wherever an installation is cut."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import tomllib

from outrider.installer.configuration import AgentSpec, BrokerAccess
from outrider.installer.configuring import configure
from outrider.installer.errors import AccessFailed, BrokerUnreachable, HostRefused, InstallerError, NoAnswer
from outrider.installer.facts import HostFacts
from outrider.installer.onhost import marks
from outrider.installer.onhost.actions import ACTIONS
from outrider.installer.onhost.bootstrap import hash_password
from outrider.installer.onhost.configuration import fits
from outrider.installer.onhost.layout import Layout, my_layout
from outrider.installer.ssh.session import HostSession
from outrider.messaging.amqp.management import PasswordHash
from outrider.plugins.ssh.access.errors import ConnectionLost
from tests.support.accounts import RememberedAccount

SPEC = AgentSpec("host-1", BrokerAccess(("amqps://one:5671/fleet", "amqps://two:5671/fleet"), ca_pem="the authority"))
LOST = AccessFailed(ConnectionLost("the line broke"))


class Machine:
    """A host whose actions run here, below a folder; some are cut, before or after they did their work."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.before: dict[str, InstallerError] = {}
        self.after: dict[str, InstallerError] = {}

    def act(self, action: str, request: dict[str, Any]) -> dict[str, Any]:
        if error := self.before.pop(action, None):
            raise error
        answer = ACTIONS[action](self.layout, request)
        if error := self.after.pop(action, None):
            raise error
        return answer

    def configure(self, account: RememberedAccount | None, spec: AgentSpec = SPEC) -> bool:
        there = self.layout.config.exists()
        facts = {"agent_id": "host-1" if there else None, "state_dir": "/state", "ca_file": str(self.layout.ca)}
        return configure(cast("HostSession", self), spec, cast("HostFacts", FactsOf(**facts)), account)

    def logs_in_with(self, account: RememberedAccount) -> bool:
        """Tell whether the host's password is the one that the broker knows."""
        found = tomllib.loads(self.layout.config.read_text())["broker_urls"]
        known = account.known()
        assert known is not None
        (password,) = {url.partition("@")[0].rpartition(":")[2].replace("%2F", "/") for url in found}
        return fits(password, known.value, algorithm=known.algorithm)


class FactsOf:
    """As much of a host's facts as a configuration needs."""

    def __init__(self, agent_id: str | None, state_dir: str, ca_file: str) -> None:
        self.agent_id, self.state_dir, self.ca_file = agent_id, state_dir, ca_file


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    layout = my_layout(str(tmp_path))
    layout.lock.parent.mkdir(parents=True)
    return Machine(layout)


@pytest.fixture
def account() -> RememberedAccount:
    return RememberedAccount("host-1")


def test_a_second_run_leaves_the_password_and_makes_sure_of_the_rights(
    machine: Machine, account: RememberedAccount
) -> None:
    assert machine.configure(account)
    assert machine.logs_in_with(account)
    written = machine.layout.config.stat().st_mtime_ns
    marks.started(machine.layout)
    assert not machine.configure(account)
    assert (len(account.passwords), account.kept) == (1, 1)
    assert machine.layout.config.stat().st_mtime_ns == written
    assert not marks.is_stale(machine.layout)


@pytest.mark.parametrize("change", ["settings", "authority", "mode", "address", "password wanted", "by hand"])
def test_whatever_differs_is_corrected_with_a_new_password(
    machine: Machine, account: RememberedAccount, change: str
) -> None:
    machine.configure(account)
    spec, config = SPEC, machine.layout.config
    if change == "settings":
        spec = replace(SPEC, settings={"slots": 3})
    elif change == "authority":
        spec = replace(SPEC, broker=replace(SPEC.broker, ca_pem="another authority"))
    elif change == "mode":
        config.chmod(0o644)
    elif change == "address":
        spec = replace(SPEC, broker=replace(SPEC.broker, urls=("amqps://three:5671/fleet",)))
    elif change == "password wanted":
        account.new_password = True
    else:
        config.write_text(config.read_text().replace("fleet", "fleet2", 1))
    assert machine.configure(account, spec)
    assert len(account.passwords) == 2
    assert machine.logs_in_with(account)
    assert config.stat().st_mode & 0o777 == 0o600
    assert marks.is_stale(machine.layout)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_after_a_cut_makes_the_passwords_one_again(
    machine: Machine, account: RememberedAccount, moment: str
) -> None:
    machine.configure(account)
    marks.started(machine.layout)
    account.new_password = True
    getattr(machine, moment)["configure"] = LOST
    with pytest.raises(AccessFailed):
        machine.configure(account)
    # Nobody knows whether the host has the new one, so the broker keeps it.
    assert machine.logs_in_with(account) is (moment == "after")
    account.new_password = False
    changed = machine.configure(account)
    assert changed is (moment == "before")
    assert machine.logs_in_with(account)
    # In either case the agent that runs does not know of it yet.
    assert marks.is_stale(machine.layout)


@pytest.mark.parametrize(
    ("error", "restored"),
    [(HostRefused("no space left"), True), (NoAnswer("h gave no answer to configure"), False), (LOST, False)],
)
def test_a_host_that_refuses_the_new_password_keeps_the_old_one_at_the_broker(
    machine: Machine, account: RememberedAccount, error: InstallerError, restored: bool
) -> None:
    machine.configure(account)
    account.new_password = True
    machine.before["configure"] = error
    with pytest.raises(type(error)):
        machine.configure(account)
    assert machine.logs_in_with(account) is restored


def test_a_broker_that_is_lost_then_is_told_of_with_the_reason(
    machine: Machine, account: RememberedAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_known: PasswordHash) -> None:
        raise BrokerUnreachable("the broker's management API does not answer")

    machine.configure(account)
    account.new_password = True
    monkeypatch.setattr(account, "restore", away)
    machine.before["configure"] = HostRefused("no space left", remedy="free some", cause="disk full")
    with pytest.raises(HostRefused, match="no space left; nor could the agent's account get its old") as caught:
        machine.configure(account)
    assert (caught.value.remedy, caught.value.cause) == ("free some", "disk full")


def test_a_host_program_of_an_older_release_that_cannot_compare_gets_a_new_password(
    machine: Machine, account: RememberedAccount
) -> None:
    machine.configure(account)
    machine.before["compare"] = HostRefused("KeyError: 'compare'", cause="defect")
    assert machine.configure(account)
    assert machine.logs_in_with(account)


def test_a_password_fits_its_hash_and_no_other() -> None:
    sha256 = "rabbit_password_hashing_sha256"
    assert fits("right", hash_password("right"), algorithm=sha256)
    assert not fits("wrong", hash_password("right"), algorithm=sha256)
    sha512 = base64.b64encode(b"salt" + hashlib.sha512(b"saltright").digest()).decode()
    assert fits("right", sha512, algorithm="rabbit_password_hashing_sha512")
    assert not fits("right", sha512, algorithm="somebody's own")
    assert not fits("", "", algorithm=sha256)
    assert not fits("right", "no base64", algorithm=sha256)
