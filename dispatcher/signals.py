"""What the engine's thread is told, and the queue through which it is told."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Union

from outrider.messaging.messages import AgentHeartbeat, ControlReply, ControlRequest, OperationResult, OperationUpdate
from outrider.messaging.transport import Confirmation, Delivery


@dataclass(frozen=True, slots=True)
class ResultArrived:
    """An agent says how an attempt ended."""

    result: OperationResult
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class UpdateArrived:
    """An agent sends log lines, events and property changes of an attempt."""

    update: OperationUpdate
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class HeartbeatArrived:
    """An agent lives."""

    heartbeat: AgentHeartbeat
    delivery: Delivery
    #: By the engine's clock, when the message came in (it may have waited in the inbox since).
    received_at: float


@dataclass(frozen=True, slots=True)
class RequestArrived:
    """An agent asks something."""

    request: ControlRequest
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class ReplyArrived:
    """An agent answers a control request of ours."""

    reply: ControlReply
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class DeadLetterArrived:
    """The broker could not deliver a message, or a consumer refused it."""

    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Published:
    """What became of an attempt's message."""

    attempt_id: str
    confirmation: Confirmation


@dataclass(frozen=True, slots=True)
class BrokerChanged:
    """The connection was lost or has come back."""

    connected: bool


@dataclass(frozen=True, slots=True)
class Look:
    """Something was written to the store (a new execution, a cancel, a result that another one recorded)."""


Signal = Union[
    ResultArrived,
    UpdateArrived,
    HeartbeatArrived,
    RequestArrived,
    ReplyArrived,
    DeadLetterArrived,
    Published,
    BrokerChanged,
    Look,
]


#: So long may a patient signal wait while others keep the engine busy.
_PATIENCE_SECONDS = 1.0
#: So many signals do not wait for company.
_ENOUGH = 16
#: Who sends one of these does not wait for an answer; all others hurry.
_UNHURRIED = (ResultArrived, UpdateArrived, HeartbeatArrived)


def _hurries(signal: Signal) -> bool:
    return not isinstance(signal, _UNHURRIED)


class Inbox:
    """A queue with one reader, which takes everything that is there at once."""

    def __init__(self) -> None:
        self._signals: deque[Signal] = deque()
        #: Signals that wait for company, each with the time of its coming.
        self._patient: deque[tuple[float, Signal]] = deque()
        self._filled = threading.Condition()

    def put(self, signal: Signal, *, patient: bool = False) -> None:
        """Add a signal, from any thread; a `patient` one is taken when nothing else is to do, or after a second."""
        with self._filled:
            if patient:
                self._patient.append((time.monotonic(), signal))
                return
            self._signals.append(signal)
            if _hurries(signal) or len(self._signals) in (1, _ENOUGH):
                self._filled.notify()

    def take(self, *, limit: int, timeout_seconds: float, company_seconds: float = 0.0) -> list[Signal]:
        """Return up to `limit` signals, waiting for the first one that is not patient up to the timeout.

        `company_seconds`: how long those that came wait for others, unless they are many, or one of them hurries.
        """
        deadline = time.monotonic() + timeout_seconds
        with self._filled:
            while not self._signals:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._filled.wait(left)
            if company_seconds and self._signals:
                enough = min(limit, _ENOUGH)
                self._filled.wait_for(
                    lambda: len(self._signals) >= enough or any(map(_hurries, self._signals)), company_seconds
                )
            taken = [self._signals.popleft() for _ in range(min(limit, len(self._signals)))]
            if self._patient and (not taken or self._patient[0][0] < time.monotonic() - _PATIENCE_SECONDS):
                taken += [self._patient.popleft()[1] for _ in range(min(limit, len(self._patient)))]
            return taken

    def __len__(self) -> int:
        return len(self._signals) + len(self._patient)
