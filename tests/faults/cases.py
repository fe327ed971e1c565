"""The generator of the sweep's cases: which process dies, at which stage of operations, and what a seed varies."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

#: `make faults` sets it to ``all``: larger installs, more seeds.
WHOLE = os.environ.get("OUTRIDER_FAULTS") == "all"
SIZE = 200 if WHOLE else 40
SEEDS = 4 if WHOLE else 1
SLOTS = 4


class Victim(str, Enum):
    """Who is killed with SIGKILL."""

    AGENT = "agent"
    RUNNER = "runner"
    DISPATCHER = "dispatcher"
    BROKER = "broker"


class Moment(str, Enum):
    """When, seen from the operations."""

    #: They are in the agent's queue; none has begun.
    BEFORE = "before"
    #: As many as the agent has slots are running; others wait in its journal and in its queue.
    DURING = "during"
    #: They have ended, and nobody has recorded their results yet.
    AFTER = "after"


@dataclass(frozen=True)
class Case:
    """One run of the sweep."""

    victim: Victim
    moment: Moment
    seed: int
    #: Numbers of the operations that are held while the victim dies.
    held: tuple[int, ...]
    #: Number of an operation → how often it fails before it succeeds.
    failures: dict[int, int]
    #: How often the victim dies.
    deaths: int
    #: The held operations end while the victim is dead, not after its return.
    ends_meanwhile: bool
    #: A second dispatcher adopts what the killed one leaves; else the killed one is started again.
    adopted: bool

    @property
    def name(self) -> str:
        """As pytest shows it."""
        return f"{self.victim.value}-{self.moment.value}-{self.seed}"


def cases() -> Iterator[Case]:
    """Return every pair of victim and moment, with each seed."""
    for seed in range(SEEDS):
        for victim in Victim:
            for moment in Moment:
                yield _case(victim, moment, seed)


def _case(victim: Victim, moment: Moment, seed: int) -> Case:
    chance = random.Random(f"{victim.value} {moment.value} {seed}")
    roots = SIZE // 10
    # Those that wait for a root, in a row, so that they occupy all slots at the same time.
    first = chance.randrange(roots, SIZE - SLOTS)
    failing = chance.sample(range(SIZE), SIZE // 10)
    return Case(
        victim=victim,
        moment=moment,
        seed=seed,
        held=tuple(range(first, first + SLOTS)),
        failures={number: chance.choice((1, 2)) for number in failing},
        deaths=chance.choice((1, 1, 2)) if victim is not Victim.BROKER else 1,
        ends_meanwhile=chance.random() < 0.5,
        adopted=victim is Victim.DISPATCHER and chance.random() < 0.5,
    )
