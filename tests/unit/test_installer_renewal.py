"""An agent that nobody logs in to becomes this release over its control queue: what is asked, and what answers mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from outrider.installer.errors import AgentRefuses, UpgradeRolledBack
from outrider.installer.plugin import renewal
from outrider.installer.plugin.renewal import BrokerUpgrade, Offer
from outrider.messaging.messages import ControlKind, ControlReply

OFFER = Offer("0.2.0", "a" * 64, "b" * 64)
FILES = {"url": "http://d/files", "token": "t"}


class Agent:
    """An agent that answers the control request `upgrade`, and can be told how the upgrade goes."""

    def __init__(self, phases: list[str], *, note: dict[str, Any] | None = None, refuses: str = "") -> None:
        self.note: dict[str, Any] = note or {}
        self.steps: list[str] = []
        self._phases = phases
        self._refuses = refuses

    def ask(
        self, agent_id: str, kind: ControlKind, payload: Mapping[str, Any] | None = None, **_: float
    ) -> ControlReply | None:
        assert kind is ControlKind.UPGRADE
        assert payload is not None
        step = str(payload["step"])
        if step != "status" or not self.steps or self.steps[-1] != "status":
            self.steps.append(step)
        if self._refuses and step == "begin":
            return ControlReply("r", agent_id, ok=False, error=self._refuses)
        if step == "begin":
            self.note = {"id": payload["id"], "before": "0.1.0", "version": payload["version"]}
        elif step == "status" and self.note and self._phases:
            phase = self._phases.pop(0)
            if phase == "silent":
                return None
            self.note["phase"] = phase
            self.note["running"] = "0.1.0" if phase == "installing" else self.note["version"]
        return ControlReply("r", agent_id, ok=True, payload=dict(self.note))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewal, "_POLL_SECONDS", 0.0)


def upgrade(agent: Agent) -> renewal.Renewed:
    asking: Any = agent
    return BrokerUpgrade(asking, "vm_1", of="execution-1").run(OFFER, FILES)


def test_the_new_version_is_told_to_stay_once_it_answers_itself() -> None:
    agent = Agent(["installing", "silent", "switched", "done"])

    renewed = upgrade(agent)

    assert agent.steps == ["status", "begin", "status", "decide", "status"]
    assert (renewed.before, renewed.version, renewed.changed) == ("0.1.0", "0.2.0", True)


def test_a_try_that_was_interrupted_is_gone_on_with() -> None:
    note = {"id": "execution-1-x", "before": "0.1.0", "version": "0.2.0"}
    agent = Agent(["installing", "switched", "done"], note=note)

    assert upgrade(agent).changed
    assert "begin" not in agent.steps


def test_an_upgrade_of_somebody_else_is_no_excuse() -> None:
    note = {"id": "other-x", "before": "0.1.0", "version": "0.1.5"}
    agent = Agent(["switched", "done"], note=note, refuses="UpgradeRefused: the upgrade other-x is under way")

    with pytest.raises(AgentRefuses, match="agent vm_1 refuses: UpgradeRefused: the upgrade other-x is under way"):
        upgrade(agent)


@pytest.mark.parametrize("phase", ["failed", "rolled back", "stuck"])
def test_a_version_that_does_not_pass_is_said_with_the_reason(phase: str) -> None:
    agent = Agent(["installing", phase])
    agent.note["error"] = "the broker does not know it"

    with pytest.raises(UpgradeRolledBack, match=f"agent vm_1: {phase}: "):
        upgrade(agent)


def test_an_agent_that_has_the_version_is_left_alone() -> None:
    agent = Agent(["installing", "done"])

    upgrade(agent)

    assert agent.steps == ["status", "begin", "status"]
