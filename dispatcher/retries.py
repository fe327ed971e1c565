"""What follows from a verdict: pure, and the only place that decides whether an operation is tried again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from outrider.dispatcher.settings import EngineSettings
from outrider.messaging.codec import from_json
from outrider.messaging.messages import OperationError, Verdict

#: Verdicts after which nobody knows what the operation did; its processes are gone, or will be.
UNKNOWN = frozenset({Verdict.MAY_HAVE_RUN, Verdict.RESULT_LOST})

#: The type of the error by which an agent says that the operation's function is not declared resumable.
NOT_RESUMABLE = "NotResumable"

_WORDS = {
    Verdict.SUCCEEDED: "succeeded",
    Verdict.NEVER_STARTED: "never started",
    Verdict.FAILED: "failed",
    Verdict.RESCHEDULED: "asked to be tried again",
    Verdict.CANCELLED: "was stopped",
    Verdict.TIMED_OUT: "took longer than its timeout and was stopped",
    Verdict.MAY_HAVE_RUN: "may have run: contact with its agent was lost",
    Verdict.RESULT_LOST: "ran, and its result is lost",
    Verdict.NOT_CONFIRMED: "was told to stop, and may still be running: its end was not confirmed",
}


class Next(str, Enum):
    """What happens to the task."""

    DONE = "done"
    RETRY = "retry"
    FAIL = "fail"
    #: Nobody but a person can say what is right.
    ASK = "ask"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How often and when one operation is tried again; from task, plan and settings, in this order."""

    max_retries: int
    retry_interval_seconds: float
    timeout_recoverable: bool = False
    until_truthy: bool = False
    idempotent: bool = False
    #: A failure is final; it is tried again only if nobody knows whether it ran.
    once: bool = False
    #: A failure is for the workflow function's handler to judge; what the operation itself asks for is done.
    handled: bool = False

    def allows(self, retries: int) -> bool:
        """Return whether another retry is allowed after so many."""
        return self.max_retries < 0 or retries < self.max_retries


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an attempt ended."""

    verdict: Verdict
    value: Any = None
    error: OperationError | None = None

    @classmethod
    def stored(cls, verdict: Verdict, result: Mapping[str, Any]) -> Ending:
        """Return an ending from what is stored of it."""
        error = result.get("error")
        return cls(
            verdict=verdict,
            value=result.get("value"),
            error=None if error is None else from_json(OperationError, error),
        )

    @property
    def words(self) -> str:
        """What happened, to follow the operation's name."""
        if self.error is None:
            return _WORDS[self.verdict]
        return f"{_WORDS[self.verdict]}: {self.error.type}: {self.error.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consequence:
    """What follows."""

    next: Next
    delay_seconds: float = 0.0
    #: Whether the retry counts against the limit.
    counted: bool = True
    reason: str = ""


_DONE = Consequence(next=Next.DONE)


def consequence(
    ending: Ending, policy: Policy, *, retries: int, cancelling: bool, may_ask_again: bool = True
) -> Consequence:
    """Return what follows from an ending other than `never started` (see `after_never_started`).

    `may_ask_again`: whether another attempt may find out if the operation is resumable.
    """
    if ending.verdict is Verdict.SUCCEEDED:
        return _after_success(ending, policy, cancelling=cancelling)
    reason = ending.words
    if cancelling or ending.verdict is Verdict.CANCELLED:
        stopped = cancelling and ending.verdict is not Verdict.NOT_CONFIRMED
        return Consequence(next=Next.CANCELLED if stopped else Next.FAIL, reason=reason)
    if ending.verdict in UNKNOWN:
        # The plan seldom says whether the operation is idempotent; the plugin's code, which only the agent has, does.
        # So an attempt asks it (`OperationTask.only_if_resumable`).
        follows = _retry(policy, retries, policy.retry_interval_seconds, reason)
        if policy.idempotent or (follows.next is Next.RETRY and may_ask_again):
            return follows
        return replace(follows, next=Next.ASK)
    if ending.verdict is Verdict.TIMED_OUT and not policy.timeout_recoverable:
        return Consequence(next=Next.FAIL, reason=reason)
    if ending.verdict is Verdict.NOT_CONFIRMED:
        return Consequence(next=Next.ASK, reason=reason)
    final = ending.error is not None and not ending.error.recoverable and ending.verdict is Verdict.FAILED
    judged = policy.handled and ending.verdict is not Verdict.RESCHEDULED
    if final or policy.once or judged:
        return Consequence(next=Next.FAIL, reason=reason)
    after = None if ending.error is None else ending.error.retry_after_seconds
    return _retry(policy, retries, policy.retry_interval_seconds if after is None else after, reason)


def after_never_started(
    settings: EngineSettings, *, times: int, since_first_seconds: float, cancelling: bool, reason: str
) -> Consequence:
    """Return what follows when an attempt never started, for the `times`-th time in a row."""
    if cancelling:
        return Consequence(next=Next.CANCELLED, reason=reason)
    if since_first_seconds >= settings.start_window_seconds:
        text = f"{reason}; gave up after {since_first_seconds:.0f} s (start window {settings.start_window_seconds:g} s)"
        return Consequence(next=Next.FAIL, reason=text)
    delay = _resend_delay(settings, times)
    return Consequence(next=Next.RETRY, delay_seconds=delay, counted=False, reason=reason)


def after_unanswered(
    settings: EngineSettings, ending: Ending, *, times: int, open_for_seconds: float, cancelling: bool, words: str
) -> Consequence:
    """Return what follows when an attempt did not start that only a resumable operation was to be run by.

    What the attempt before it did stays unknown (`words`). Asking ends with the operation's own answer, or when the
    question has been open for a start window.
    """
    error = ending.error or OperationError("Outrider", "no reason was given")
    if cancelling:
        return Consequence(next=Next.CANCELLED, reason=words)
    if error.type == NOT_RESUMABLE:
        return Consequence(next=Next.ASK, reason=f"{words}. The plugin does not declare it resumable")
    if open_for_seconds >= settings.start_window_seconds:
        text = f"{words}. Whether it is resumable could not be asked within {open_for_seconds:.0f} s: {error.message}"
        return Consequence(next=Next.ASK, reason=text)
    delay = _resend_delay(settings, times)
    return Consequence(next=Next.RETRY, delay_seconds=delay, counted=False, reason=f"{words}; {error.message}")


def _resend_delay(settings: EngineSettings, times: int) -> float:
    return min(settings.resend_first_seconds * 2.0 ** min(times - 1, 20), settings.resend_max_seconds)


def _after_success(ending: Ending, policy: Policy, *, cancelling: bool) -> Consequence:
    if not policy.until_truthy or ending.value:
        return _DONE
    if cancelling:
        return Consequence(next=Next.CANCELLED, reason="cancelled while it waited for a true result")
    return Consequence(
        next=Next.RETRY,
        delay_seconds=policy.retry_interval_seconds,
        counted=False,
        reason="not there yet (the result is not true)",
    )


def _retry(policy: Policy, retries: int, delay_seconds: float, reason: str) -> Consequence:
    if policy.allows(retries):
        return Consequence(next=Next.RETRY, delay_seconds=max(delay_seconds, 0.0), reason=reason)
    return Consequence(next=Next.FAIL, reason=f"{reason} (after {retries} retries, the limit)")
