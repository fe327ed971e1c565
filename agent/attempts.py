"""The attempts that this agent has in hand, as its threads share them."""

from __future__ import annotations

import threading
import time
from enum import Enum
from typing import Optional

from outrider.agent.folder import AttemptFolder
from outrider.agent.runner.tree import Tree
from outrider.messaging.messages import OperationTask
from outrider.messaging.transport import Delivery


class Phase(str, Enum):
    """What the heartbeat says of an attempt."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    REPORTING = "reporting"


class Attempt:
    """One attempt in hand. Its slot's thread owns it; other threads set `cancelled` and read."""

    def __init__(self, task: OperationTask, body: bytes, folder: AttemptFolder, *, silences: int) -> None:
        self.task = task
        self.body = body
        self.folder = folder
        #: `Lease.silences` when it was accepted.
        self.silences = silences
        self.phase = Phase.ACCEPTED
        self.doing = "waiting for a slot"
        self.journaled = False
        self.received = time.monotonic()
        self.durations: dict[str, float] = {}
        self.tree: Optional[Tree] = None
        #: Earlier attempts of its task of which it is known that they do not run any more.
        self.over: frozenset[str] = frozenset()
        self.cancelled = False
        #: Set with `stop_proof` once a cancel has ended its processes.
        self.stopped = threading.Event()
        self.stop_proof: Optional[str] = None
        self._deliveries: list[Delivery] = []
        self._lock = threading.Lock()

    @property
    def attempt_id(self) -> str:
        """The attempt's id."""
        return self.task.attempt_id

    def hold(self, delivery: Delivery) -> None:
        """Keep a delivery of it until the journal has it."""
        with self._lock:
            if not self.journaled:
                self._deliveries.append(delivery)
                return
        delivery.ack()

    def settle(self) -> None:
        """The journal has it: acknowledge."""
        for delivery in self._take_deliveries(journaled=True):
            delivery.ack()

    def give_back(self) -> None:
        """The journal cannot take it: somebody else may, or we later."""
        for delivery in self._take_deliveries(journaled=False):
            delivery.requeue()

    def _take_deliveries(self, *, journaled: bool) -> list[Delivery]:
        with self._lock:
            self.journaled = journaled
            taken, self._deliveries = self._deliveries, []
        return taken


class Attempts:
    """All attempts in hand, by id."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, Attempt] = {}

    def add(self, attempt: Attempt) -> Attempt:
        """Add it, unless its id is in hand already; returns the one in hand."""
        with self._lock:
            return self._known.setdefault(attempt.attempt_id, attempt)

    def get(self, attempt_id: str) -> Optional[Attempt]:
        """Return the attempt if it is in hand."""
        return self._known.get(attempt_id)

    def remove(self, attempt_id: str) -> None:
        """Forget it: the journal answers from now on."""
        with self._lock:
            self._known.pop(attempt_id, None)

    def all(self) -> list[Attempt]:
        """Return all in hand, oldest first."""
        with self._lock:
            return list(self._known.values())

    def in_phase(self, phase: Phase) -> list[str]:
        """Return the ids of those in this phase."""
        return [attempt.attempt_id for attempt in self.all() if attempt.phase is phase]

    def waiting(self) -> int:
        """Return how many are accepted and not started."""
        return sum(1 for attempt in self.all() if attempt.phase is Phase.ACCEPTED)
