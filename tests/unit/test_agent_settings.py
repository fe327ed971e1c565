"""The agent's settings: where values come from, and that all mistakes are told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from outrider.agent.errors import SettingsError
from outrider.agent.settings import Settings, load


def test_flags_win_over_the_environment_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('agent_id = "host-1"\nslots = 2\ngrace_seconds = 1\nbroker_urls = ["amqp://a", "amqp://b"]\n')
    settings = load(
        file,
        environment={"OUTRIDER_SLOTS": "3", "OUTRIDER_GRACE_SECONDS": "2.5", "OUTRIDER_OTHER": "x"},
        flags={"slots": "4", "log_level": None},
    )
    assert (settings.slots, settings.grace_seconds, settings.agent_id) == (4, 2.5, "host-1")
    assert settings.broker_urls == ("amqp://a", "amqp://b")
    assert settings.origins["slots"] == "flag"
    assert settings.origins["grace_seconds"] == "OUTRIDER_GRACE_SECONDS"
    assert settings.origins["agent_id"] == str(file)
    assert settings.origins["log_level"] == "default"


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('agent_id = "a b"\nslots = "many"\nsolts = 3\nheartbeat_seconds = 100\ncontrol_groups = "maybe"\n')
    with pytest.raises(SettingsError) as caught:
        load(file, environment={}, flags={}, required=("broker_urls",))
    text = str(caught.value)
    for part in ("agent_id", "slots = 'many'", "solts", "lease_seconds", "control_groups", "broker_urls"):
        assert part in text
    assert len(caught.value.problems) == 6


def test_a_file_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / "none.toml", environment={}, flags={})


def test_lists_in_the_environment_are_separated_by_commas() -> None:
    settings = load(None, environment={"OUTRIDER_BROKER_URLS": "amqp://a, amqp://b"}, flags={})
    assert settings.broker_urls == ("amqp://a", "amqp://b")


def test_variables_for_the_environment_are_none_of_the_agents_own() -> None:
    found = load(None, environment={"OUTRIDER_ENVIRONMENT": "A=b=c,https_proxy="}, flags={})
    assert found.variables == {"A": "b=c", "https_proxy": ""}
    with pytest.raises(SettingsError) as caught:
        load(None, environment={"OUTRIDER_ENVIRONMENT": "OUTRIDER_SLOTS=1,9=a,PLAIN"}, flags={})
    assert len(caught.value.problems) == 3


def test_the_memory_limit_is_given_in_mebibytes_and_zero_means_none() -> None:
    assert Settings("a", memory_limit_mib=3).memory_limit_bytes == 3 * 2**20
    assert Settings("a").memory_limit_bytes is None
