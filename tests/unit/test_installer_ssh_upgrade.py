"""An upgrade over SSH that is cut: what is said of the host then, and what the next run finds there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outrider.installer.errors import (
    AccessFailed,
    HostRefused,
    InstallerError,
    NoAnswer,
    UpgradeStuck,
    UpgradeUnknown,
)
from outrider.installer.onhost import marks, services
from outrider.installer.onhost.actions import ACTIONS
from outrider.installer.onhost.environment import RECORD
from outrider.installer.onhost.errors import HostError
from outrider.installer.onhost.files import switch_link
from outrider.installer.onhost.layout import Layout, my_layout
from outrider.installer.upgrade import _roll_back
from outrider.plugins.ssh.access.errors import ConnectionLost


class Answering:
    """A host that answers what it is asked with one error."""

    def __init__(self, error: InstallerError) -> None:
        self.error = error

    def act(self, action: str, request: dict[str, Any], *, timeout_seconds: float) -> dict[str, Any]:
        assert (action, request["name"], timeout_seconds > 0) == ("service", "0.1.0", True)
        raise self.error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AccessFailed(ConnectionLost("the line broke")), UpgradeUnknown),
        (NoAnswer("h gave no answer to service"), UpgradeUnknown),
        (HostRefused("another installation is at work", cause="busy"), UpgradeUnknown),
        (HostRefused("the service is failed; its log ends: no module"), UpgradeStuck),
    ],
)
def test_only_a_host_that_says_so_is_said_not_to_start_the_old_version(
    error: InstallerError, said: type[InstallerError]
) -> None:
    with pytest.raises(said) as caught:
        _roll_back(Answering(error), "0.1.0", failed="0.2.0", reason=InstallerError("h: step switch failed"))  # type: ignore[arg-type]
    assert ("does not start either" in caught.value.message) is (said is UpgradeStuck)
    assert ("it is not known which version is active, 0.2.0 or 0.1.0" in caught.value.message) is (
        said is UpgradeUnknown
    )
    assert error.message in caught.value.message
    assert caught.value.remedy


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """Return a host with three versions, of which the oldest is active; its service manager starts anything."""
    made = my_layout(str(tmp_path))
    for version in ("0.1.0", "0.2.0", "0.3.0"):
        (made.versions / version).mkdir(parents=True)
        (made.versions / version / RECORD).write_text("{}")
    switch_link(made.current, "versions/0.1.0")
    monkeypatch.setattr(services, "ensure", lambda *_: {"service": "systemd", "changed": False})
    monkeypatch.setattr(services, "installed", lambda _: "systemd")
    monkeypatch.setattr(services, "state", lambda _: "active")
    monkeypatch.setattr(services, "restart", lambda _: None)
    monkeypatch.setattr(services, "wait_until_active", lambda *_: None)
    return made


def act(layout: Layout, action: str, **request: Any) -> dict[str, Any]:
    return ACTIONS[action](layout, request)


def test_a_host_remembers_the_way_back_until_the_version_is_proven(layout: Layout) -> None:
    act(layout, "service", name="0.2.0", fallback="0.1.0")
    assert marks.unproven(layout) == {"version": "0.2.0", "before": "0.1.0"}
    # An installation that knows nothing of it keeps what may be needed.
    assert act(layout, "collect", keep=["0.2.0"])["removed"] == ["0.3.0"]
    assert act(layout, "collect", keep=["0.2.0"], proven=True)["removed"] == ["0.1.0"]
    assert marks.unproven(layout) is None


def test_a_host_that_went_back_waits_for_no_proof(layout: Layout) -> None:
    act(layout, "service", name="0.2.0", fallback="0.1.0")
    act(layout, "service", name="0.1.0", fallback=None)
    assert marks.unproven(layout) is None
    act(layout, "service", name="0.2.0")
    assert marks.unproven(layout) is None


def test_what_was_cut_before_the_agent_was_started_anew_is_made_up_for(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: Any) -> None:
        raise HostError("service", "the line broke", "")

    with monkeypatch.context() as broken:
        broken.setattr(services, "restart", cut)
        with pytest.raises(HostError):
            act(layout, "service", name="0.2.0")
    # All is as it shall be, and the process that runs is still of the version before.
    assert layout.current.readlink().name == "0.2.0"
    assert act(layout, "service", name="0.2.0")["started"]
    assert not act(layout, "service", name="0.2.0")["started"]
