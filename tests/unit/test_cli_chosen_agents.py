"""Which agents `outrider exec` is for."""

from __future__ import annotations

import pytest

from outrider.cli.chosen_agents import Chosen, NoAgents, choose
from outrider.dispatcher.store.agents import Agent

NOW = 1000.0
KNOWN = [
    Agent(id="central", last_seen_at=NOW),
    Agent(id="db-1", last_seen_at=NOW - 4),
    Agent(id="web-1", last_seen_at=NOW - 1),
    Agent(id="web-2", last_seen_at=NOW - 600),
    Agent(id="web-3", last_seen_at=NOW, fenced="two agents under one id"),
]


def chosen(*wanted: str, every: bool = False) -> Chosen:
    return choose(KNOWN, wanted, every=every, central="central", now=NOW)


def test_a_name_is_taken_as_it_is_also_of_an_agent_that_nobody_heard_of() -> None:
    assert chosen("web-2", "new", "web-2") == Chosen(("web-2", "new"))


def test_a_pattern_means_the_agents_that_live_and_names_the_silent_ones() -> None:
    assert chosen("web-*") == Chosen(("web-1",), ("web-2", "web-3"))


def test_names_and_patterns_add_up_without_repeating_an_agent() -> None:
    assert chosen("web-1", "web-[12]", "db-?") == Chosen(("web-1", "db-1"), ("web-2",))


def test_an_agent_that_is_named_is_meant_although_it_is_silent() -> None:
    assert chosen("web-2", "web-*") == Chosen(("web-2", "web-1"), ("web-3",))


def test_all_means_every_host_but_not_the_central_agent() -> None:
    assert chosen(every=True) == Chosen(("db-1", "web-1"), ("web-2", "web-3"))


def test_a_pattern_that_fits_none_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(NoAgents, match=r"'lb-\*'; known are: central, db-1, web-1"):
        chosen("lb-*")


def test_all_without_hosts_says_how_to_get_some() -> None:
    with pytest.raises(NoAgents, match="outrider agent install"):
        choose(KNOWN[:1], (), every=True, central="central", now=NOW)
