"""Results on their way to the dispatcher: published until the broker confirms, then marked done in the journal."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from functools import partial
from sqlite3 import Connection
from typing import Any, Callable, Optional

from outrider.agent import journal as journaling
from outrider.agent.journal import Journal
from outrider.agent.verdicts import shortened
from outrider.messaging import topology
from outrider.messaging.errors import MessagingError
from outrider.messaging.transport import Confirmation, Outgoing, Transport, confirmation_of

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0

#: A job of the journal's.
_Record = Callable[[Connection], Any]


class ResultOutbox:
    """Sends results; what is not confirmed stays in the journal and is sent again."""

    def __init__(self, agent_id: str, transport: Transport, journal: Journal, done: Callable[[str], None]) -> None:
        self._key = f"{agent_id}.result"
        self._transport = transport
        self._journal = journal
        self._done = done
        self._lock = threading.Lock()
        #: Attempt → its message, and when it was last published (None: under way).
        self._pending: dict[str, tuple[bytes, float]] = {}
        self._under_way: set[str] = set()
        #: Attempts whose result is sent ahead of the journal: True once the broker has it.
        self._ahead: dict[str, bool] = {}
        #: What the journal could not take, to be offered to it again: attempt → its result, and who has to be done.
        self._unjournaled: dict[str, _Record] = {}
        self._undone: set[str] = set()

    def expect_ahead(self, attempt_id: str) -> None:
        """Say that a result will be sent before the journal has it; `journaled` tells when it does."""
        with self._lock:
            self._ahead[attempt_id] = False

    def send(self, attempt_id: str, body: bytes) -> None:
        """Send a result that the journal has, or is being given."""
        with self._lock:
            self._pending[attempt_id] = (body, time.monotonic())
            self._under_way.add(attempt_id)
        self._publish(attempt_id, body)

    def journal_later(self, attempt_id: str, record: _Record) -> None:
        """Have a result journaled when that is possible again; the attempt is not done before."""
        with self._lock:
            self._ahead.setdefault(attempt_id, False)
            self._unjournaled[attempt_id] = record

    def send_again(self) -> None:
        """Publish and journal what was not taken; called every second, and when the connection comes back."""
        self._journal_again()
        if not self._transport.connected:
            return
        now = time.monotonic()
        with self._lock:
            due = [
                (attempt_id, body)
                for attempt_id, (body, sent) in self._pending.items()
                if attempt_id not in self._under_way and now - sent >= _RETRY_SECONDS
            ]
            for attempt_id, body in due:
                self._pending[attempt_id] = (body, now)
                self._under_way.add(attempt_id)
        for attempt_id, body in due:
            self._publish(attempt_id, body)

    @property
    def empty(self) -> bool:
        """Whether all results are confirmed."""
        return not self._pending

    def _publish(self, attempt_id: str, body: bytes) -> None:
        try:
            future = self._transport.publish(
                Outgoing(topology.RESULTS, self._key, body, mandatory=True, message_id=attempt_id)
            )
        except MessagingError as error:
            logger.warning("the result of attempt %s waits for the broker: %s", attempt_id, error)
            self._settle(attempt_id, confirmed=False)
            return
        future.add_done_callback(lambda finished: self._published(attempt_id, finished))

    def _published(self, attempt_id: str, future: Future[Confirmation]) -> None:
        outcome = confirmation_of(future)
        if outcome is not Confirmation.CONFIRMED:
            logger.debug("the result of attempt %s was not confirmed (%s); it is sent again", attempt_id, outcome.value)
            if outcome is Confirmation.TOO_LARGE:
                self._shorten(attempt_id)
            self._settle(attempt_id, confirmed=False)
            return
        self._settle(attempt_id, confirmed=True)
        with self._lock:
            if attempt_id in self._ahead:
                self._ahead[attempt_id] = True
                return
        self._mark_done(attempt_id)

    def _shorten(self, attempt_id: str) -> None:
        """Have it said that the result is too large: as such, it would never arrive.

        The journal keeps what the operation returned; whoever sends that again comes to the same end.
        """
        with self._lock:
            # Gone if it was sent twice, for a task that was delivered again, and the other one has arrived.
            if attempt_id in self._pending:
                body, sent = self._pending[attempt_id]
                self._pending[attempt_id] = (shortened(body), sent)

    def journaled(self, attempt_id: str) -> None:
        """The journal has a result that was sent ahead."""
        with self._lock:
            confirmed = self._ahead.pop(attempt_id, False)
        if confirmed:
            self._mark_done(attempt_id)

    def _journal_again(self) -> None:
        with self._lock:
            records, self._unjournaled = self._unjournaled, {}
            undone, self._undone = self._undone, set()
        for attempt_id, record in records.items():
            self._journal.submit(record, partial(self._journaled_again, attempt_id, record))
        for attempt_id in undone:
            self._mark_done(attempt_id)

    def _journaled_again(self, attempt_id: str, record: _Record, _new: object, error: Optional[Exception]) -> None:
        if error is not None:
            self.journal_later(attempt_id, record)
        else:
            self.journaled(attempt_id)

    def _mark_done(self, attempt_id: str) -> None:
        # Until that is durable, another agent process would at worst send the result once more.
        self._journal.submit_patiently(journaling.done(attempt_id), partial(self._marked, attempt_id))

    def _marked(self, attempt_id: str, _value: object, error: Optional[Exception]) -> None:
        if error is None:
            self._done(attempt_id)
            return
        with self._lock:
            self._undone.add(attempt_id)

    def _settle(self, attempt_id: str, *, confirmed: bool) -> None:
        with self._lock:
            self._under_way.discard(attempt_id)
            if confirmed:
                self._pending.pop(attempt_id, None)
