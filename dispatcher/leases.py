"""The leases of open attempts: until when silence about an attempt means nothing.

A lease counts down only while this dispatcher hears the broker and reaches the store. After a gap, whoever caused it,
every lease gets one full new term: the agent may have been talking all the time.
"""

from __future__ import annotations

from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.timers import Timers


class LeaseBook:
    """Deadlines by attempt id, on the engine's clock."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._deadlines: Timers[str] = Timers()
        self._deaf_since: float | None = None

    def __len__(self) -> int:
        return len(self._deadlines)

    def open(self, attempt_id: str, *, now: float) -> None:
        """Begin: the attempt may start within its window, and may then run for a lease without our hearing of it."""
        self._deadlines.set(attempt_id, now + self._settings.verdict_bound_seconds)

    def renew(self, attempt_id: str, *, sent_at: float) -> None:
        """The attempt was named by a heartbeat that was *sent* at this time."""
        if attempt_id in self._deadlines:
            self._deadlines.set(attempt_id, sent_at + self._term)

    def close(self, attempt_id: str) -> None:
        """The attempt has a verdict."""
        self._deadlines.drop(attempt_id)

    def deaf(self, *, now: float) -> None:
        """We stop hearing of agents."""
        if self._deaf_since is None:
            self._deaf_since = now

    def hearing(self, *, now: float) -> None:
        """We hear of agents again."""
        if self._deaf_since is not None:
            self._deaf_since = None
            self.gap(now=now)

    def gap(self, *, now: float) -> None:
        """For a while we could not have heard (a pause of this process, for example)."""
        self._deadlines.postpone_all(now + self._term)

    def expired(self, *, now: float) -> list[str]:
        """Return and forget the attempts whose lease is over."""
        return [] if self._deaf_since is not None else self._deadlines.due(now)

    def next(self) -> float | None:
        """Return when `expired` is worth a call."""
        return None if self._deaf_since is not None else self._deadlines.next()

    @property
    def _term(self) -> float:
        return self._settings.lease_seconds + self._settings.grace_seconds
