"""What follows from a verdict: pure, and the only place that decides whether an operation is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from outrider.dispatcher.settings import EngineSettings
from outrider.messaging.messages import OperationError, Verdict


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

    def allows(self, retries: int) -> bool:
        """Return whether another retry is allowed after so many."""
        return self.max_retries < 0 or retries < self.max_retries


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an attempt ended."""

    verdict: Verdict
    value: Any = None
    error: OperationError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consequence:
    """What follows."""

    next: Next
    delay_seconds: float = 0.0
    #: Whether the retry counts against the limit.
    counted: bool = True
    reason: str = ""


def consequence(ending: Ending, policy: Policy, *, retries: int, cancelling: bool) -> Consequence:
    """Return what follows from an ending other than `never started` (see `after_never_started`)."""
    if ending.verdict is Verdict.SUCCEEDED:
        return _after_success(ending, policy, cancelling=cancelling)
    reason = _reason(ending)
    if cancelling or ending.verdict is Verdict.CANCELLED:
        stopped = cancelling and ending.verdict is not Verdict.NOT_CONFIRMED
        return Consequence(next=Next.CANCELLED if stopped else Next.FAIL, reason=reason)
    if ending.verdict in (Verdict.MAY_HAVE_RUN, Verdict.RESULT_LOST):
        if not policy.idempotent:
            return Consequence(next=Next.ASK, reason=reason)
        return _retry(policy, retries, policy.retry_interval_seconds, reason)
    if ending.verdict is Verdict.TIMED_OUT and not policy.timeout_recoverable:
        return Consequence(next=Next.FAIL, reason=reason)
    if ending.verdict is Verdict.NOT_CONFIRMED:
        return Consequence(next=Next.ASK, reason=reason)
    if ending.error is not None and not ending.error.recoverable and ending.verdict is Verdict.FAILED:
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
    delay = min(settings.resend_first_seconds * 2 ** min(times - 1, 20), settings.resend_max_seconds)
    return Consequence(next=Next.RETRY, delay_seconds=delay, counted=False, reason=reason)


def _after_success(ending: Ending, policy: Policy, *, cancelling: bool) -> Consequence:
    if not policy.until_truthy or ending.value:
        return Consequence(next=Next.DONE)
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


_WORDS = {
    Verdict.FAILED: "failed",
    Verdict.RESCHEDULED: "asked to be tried again",
    Verdict.CANCELLED: "was stopped",
    Verdict.TIMED_OUT: "took longer than its timeout and was stopped",
    Verdict.MAY_HAVE_RUN: "may have run: contact with its agent was lost",
    Verdict.RESULT_LOST: "ran, and its result is lost",
    Verdict.NOT_CONFIRMED: "was told to stop, and may still be running: its end was not confirmed",
}


def _reason(ending: Ending) -> str:
    words = _WORDS[ending.verdict]
    if ending.error is None:
        return words
    return f"{words}: {ending.error.type}: {ending.error.message}"
