"""How an installation tells of itself: one event per change, for a terminal, a log or a test."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Callable, Optional

from outrider.installer.errors import InstallerError, StepFailed
from outrider.installer.plan import Step

logger = logging.getLogger(__name__)


class StepState(str, Enum):
    """Where a step stands."""

    STARTED = "started"
    PROGRESS = "progress"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True)
class StepEvent:
    """Something happened on the way to an agent."""

    host: str
    step: str
    state: StepState
    detail: str = ""
    #: Of the step, when it ended.
    seconds: Optional[float] = None
    #: 0 to 1, while something long is under way.
    fraction: Optional[float] = None


Observer = Callable[[StepEvent], None]


def ignore(event: StepEvent) -> None:
    """Observe nothing."""


class Steps:
    """Runs steps one by one: measures, reports, and says of a failure in which step it was."""

    def __init__(self, host: str, observer: Observer) -> None:
        self.host = host
        self.seconds: dict[str, float] = {}
        self._observer = observer
        self._details: dict[str, str] = {}

    @contextlib.contextmanager
    def step(self, step: Step | str) -> Iterator[None]:
        """Run the block as a step; an error of ours becomes `StepFailed`."""
        name = step.value if isinstance(step, Step) else step
        started = time.monotonic()
        self._observer(StepEvent(self.host, name, StepState.STARTED))
        try:
            yield
        except StepFailed:
            raise
        except InstallerError as error:
            seconds = self._measure(name, started)
            self._observer(StepEvent(self.host, name, StepState.FAILED, error.message, seconds))
            raise StepFailed(self.host, name, error) from error
        seconds = self._measure(name, started)
        self._observer(StepEvent(self.host, name, StepState.DONE, self._details.get(name, ""), seconds))
        logger.debug("step %s done", name, extra={"action": "installer.step", "host": self.host, "seconds": seconds})

    def skip(self, step: Step, why: str) -> None:
        """Report a step that is not needed."""
        self._observer(StepEvent(self.host, step.value, StepState.SKIPPED, why))

    def detail(self, step: Step | str, text: str) -> None:
        """Say something that is shown when the step is done."""
        self._details[step.value if isinstance(step, Step) else step] = text

    def fraction(self, step: Step, done: int, total: int) -> None:
        """Report how far a long step is."""
        self._observer(StepEvent(self.host, step.value, StepState.PROGRESS, fraction=done / total if total else 1.0))

    def _measure(self, name: str, started: float) -> float:
        self.seconds[name] = time.monotonic() - started
        return self.seconds[name]
