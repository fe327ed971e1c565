"""Which agents a command is for: named ones, all whose name fits a pattern, or all that hosts have.

Patterns and `--all` mean agents that live. A dispatcher that runs as a service keeps the store's list fresh; where none
does, this process has just begun to hear heartbeats, so it waits for a few before it calls an agent silent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from outrider.dispatcher.store import agents
from outrider.dispatcher.store.agents import Agent
from outrider.dispatcher.store.database import Database

#: An agent that lives is heard of every five seconds.
HEARD_WITHIN_SECONDS = 15.0
_POLL_SECONDS = 0.2


class NoAgents(Exception):
    """No agent fits what was asked for; the text says which there are."""


@dataclass(frozen=True)
class Chosen:
    """The agents that a command is for."""

    agents: tuple[str, ...]
    #: Fit a pattern, and have not been heard of lately.
    silent: tuple[str, ...] = ()


def is_pattern(name: str) -> bool:
    """Tell whether a name stands for several agents."""
    return any(letter in name for letter in "*?[")


def choose(known: Iterable[Agent], wanted: Sequence[str], *, every: bool, central: str, now: float) -> Chosen:
    """Return the agents of `wanted` (names and patterns), or of all hosts, in the order of the names.

    A name is taken as it is, also of an agent that was never heard of: its operation waits for it. Raises `NoAgents`
    for a pattern that fits none.
    """
    listed = {agent.id: agent for agent in known}
    patterns = [name for name in wanted if is_pattern(name)]
    if every:
        # The central agent is no host of somebody's: it is meant by its name only.
        fitting = {name for name in listed if name != central}
    else:
        fitting = {name for name in listed if any(fnmatchcase(name, pattern) for pattern in patterns)}
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in listed):
            raise NoAgents(f"no agent's name fits {pattern!r}; known are: {', '.join(sorted(listed)) or 'none'}")
    if every and not fitting:
        raise NoAgents("no agents on hosts are known; install some: outrider agent install HOST …")
    named = [name for name in wanted if not is_pattern(name)]
    silent = {name for name in fitting if not _lives(listed[name], now)} - set(named)
    return Chosen(tuple(dict.fromkeys([*named, *sorted(fitting - silent)])), tuple(sorted(silent)))


def choose_living(
    database: Database,
    wanted: Sequence[str],
    *,
    every: bool,
    central: str,
    patient: bool,
    pause: Callable[[float], object] = time.sleep,
) -> Chosen:
    """Do as `choose` with the store's agents; `patient`: give silent ones a few heartbeats' time to be heard of."""
    deadline = time.monotonic() + HEARD_WITHIN_SECONDS if patient else 0.0
    while True:
        with database.read() as connection:
            known, now = agents.listed(connection), database.now(connection)
        over = time.monotonic() >= deadline
        try:
            chosen = choose(known, wanted, every=every, central=central, now=now)
        except NoAgents:
            if over:
                raise
        else:
            if over or not chosen.silent:
                return chosen
        pause(_POLL_SECONDS)


def _lives(agent: Agent, now: float) -> bool:
    return agent.last_seen_at is not None and now - agent.last_seen_at <= HEARD_WITHIN_SECONDS and not agent.fenced
