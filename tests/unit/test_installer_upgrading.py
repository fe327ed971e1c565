"""An upgrade that nobody watches keeps a version only on somebody's word, and is told about in a note."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from outrider.installer.onhost.environment import RECORD
from outrider.installer.onhost.errors import HostError
from outrider.installer.onhost.files import switch_link
from outrider.installer.onhost.layout import Layout, my_layout
from outrider.installer.onhost.upgrading import DECISION, DONE, FAILED, FOLDER, NOTE, ROLLED_BACK, STUCK, upgrade


class Host:
    """A host with two versions, of which the older one is active; what would be restarted only says something."""

    def __init__(self, folder: Path) -> None:
        self.layout: Layout = my_layout(str(folder))
        self.activated: list[str] = []
        #: Version → what is said when it has been activated; an error: it does not start.
        self.says: dict[str, dict[str, Any] | HostError] = {}
        for version in ("0.1.0", "0.2.0"):
            (self.layout.versions / version).mkdir(parents=True)
            record = {"sha256": f"sha-{version}", "version": version}
            (self.layout.versions / version / RECORD).write_text(json.dumps(record))
        switch_link(self.layout.current, "versions/0.1.0")
        (self.layout.state / FOLDER).mkdir(parents=True)

    def activate(self, name: str) -> None:
        self.activated.append(name)
        switch_link(self.layout.current, f"versions/{name}")
        said = self.says.get(name)
        if isinstance(said, HostError):
            raise said
        if said is not None:
            (self.layout.state / FOLDER / DECISION).write_text(json.dumps(said))

    def upgrade(self, version: str = "0.2.0", **more: str) -> dict[str, Any]:
        request = {
            "id": "u1",
            "archive": str(self.layout.state / "none.tar"),
            "sha256": f"sha-{version}",
            "version": version,
            "gate_seconds": 0.5,
            **more,
        }
        return upgrade(self.layout, request, activate=self.activate)

    @property
    def note(self) -> dict[str, Any]:
        return json.loads((self.layout.state / FOLDER / NOTE).read_text())

    @property
    def active(self) -> str:
        return self.layout.current.readlink().name


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_version_that_is_said_to_work_stays(host: Host) -> None:
    host.says["0.2.0"] = {"id": "u1", "keep": True}
    assert host.upgrade()["phase"] == DONE
    assert (host.active, host.activated) == ("0.2.0", ["0.2.0"])
    assert host.note == {
        "id": "u1",
        "phase": DONE,
        "before": "0.1.0",
        "version": "0.2.0",
        "error": "",
        "pid": host.note["pid"],
    }


def test_a_version_of_which_nobody_says_that_it_works_is_rolled_back(host: Host) -> None:
    host.says["0.2.0"] = {"id": "another upgrade", "keep": True}
    assert host.upgrade()["phase"] == ROLLED_BACK
    assert (host.active, host.activated) == ("0.1.0", ["0.2.0", "0.1.0"])
    assert host.note["error"] == "nobody said within 0.5 s that it works"


def test_a_version_that_is_said_not_to_work_is_rolled_back_with_the_reason(host: Host) -> None:
    host.says["0.2.0"] = {"id": "u1", "keep": False, "reason": "the test operation failed"}
    host.upgrade()
    assert host.active == "0.1.0"
    assert (host.note["phase"], host.note["error"]) == (ROLLED_BACK, "the test operation failed")


def test_a_version_that_does_not_start_is_rolled_back_with_the_end_of_its_log(host: Host) -> None:
    host.says["0.2.0"] = HostError("service", "the service is failed; its log ends: no such module", "")
    host.upgrade()
    assert host.active == "0.1.0"
    assert "no such module" in host.note["error"]


def test_two_versions_that_do_not_start_are_said_to_be_stuck(host: Host) -> None:
    for version in ("0.1.0", "0.2.0"):
        host.says[version] = HostError("service", f"{version} does not start", "")
    with pytest.raises(HostError):
        host.upgrade()
    assert host.note["phase"] == STUCK
    assert "0.1.0 does not start either" in host.note["error"]


def test_after_a_reboot_the_word_is_waited_for_again_and_the_way_back_is_open(host: Host) -> None:
    switch_link(host.layout.current, "versions/0.2.0")
    assert host.upgrade(before="0.1.0", name="0.2.0")["phase"] == ROLLED_BACK
    assert (host.active, host.activated) == ("0.1.0", ["0.1.0"])


def test_the_active_version_is_not_touched(host: Host) -> None:
    assert host.upgrade("0.1.0")["phase"] == DONE
    assert host.activated == []


def test_a_bundle_that_is_damaged_changes_nothing(host: Host) -> None:
    (host.layout.state / "none.tar").write_bytes(b"something else")
    with pytest.raises(HostError):
        host.upgrade("0.3.0")
    assert (host.active, host.note["phase"]) == ("0.1.0", FAILED)
    assert "expected sha-0.3.0" in host.note["error"]
