"""Attempts on their way to the broker: published after their commit, and again under the same ids until it has them."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future

from outrider.dispatcher.attempts import outgoing
from outrider.dispatcher.recorder import Finding
from outrider.dispatcher.run import Run
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.signals import Inbox, Published
from outrider.dispatcher.store import attempts
from outrider.dispatcher.store.attempts import AttemptState
from outrider.dispatcher.turn import Turn
from outrider.messaging.errors import MessagingError
from outrider.messaging.messages import Verdict
from outrider.messaging.transport import Confirmation, Outgoing, Transport, confirmation_of

log = logging.getLogger(__name__)

_NOT_TAKEN = {
    Confirmation.RETURNED: "agent {agent!r} has no queue: it is not installed, or was removed; those that are known: "
    "outrider agent list",
    Confirmation.NACKED: "the broker refused the message: the queue of agent {agent!r} is full",
    Confirmation.TOO_LARGE: "the task is larger than the broker's max_message_size; the dispatcher's log has the sizes",
}


class Outbox:
    """What one engine has published, as far as the broker's answer is not known."""

    def __init__(self, settings: EngineSettings, transport: Transport, inbox: Inbox) -> None:
        self._settings = settings
        self._transport = transport
        self._inbox = inbox
        #: Attempts that were committed, and of which the broker's confirmation is not known → their execution.
        self._unsent: dict[str, str] = {}
        #: Those of them that have to be published again.
        self._resend: set[str] = set()

    def __len__(self) -> int:
        return len(self._unsent)

    def take_up(self, run: Run, attempt_ids: Iterable[str]) -> None:
        """Take over attempts that another dispatcher, or an earlier life of this one, has committed."""
        for attempt_id in attempt_ids:
            self._unsent[attempt_id] = run.id
            self._resend.add(attempt_id)

    def forget(self, attempt_id: str) -> None:
        """Await no confirmation any more."""
        self._unsent.pop(attempt_id, None)

    def publish(self, turn: Turn) -> None:
        """Send what a turn has committed."""
        for attempt_id, message in turn.outbox.items():
            self._unsent.setdefault(attempt_id, attempt_id.rpartition("-")[0])
            future = self._try(message)
            if future is None:
                self._inbox.put(Published(attempt_id, Confirmation.UNKNOWN))
            else:
                future.add_done_callback(functools.partial(self._confirmed, attempt_id))
        for note in turn.notes:
            self._try(note)

    def publish_again(self, turn: Turn, runs: Mapping[str, Run]) -> None:
        """Put into the turn once more, under the same ids, what the broker may not have."""
        if not self._resend or not self._transport.connected:
            return
        resend, self._resend = self._resend, set()
        bodies = attempts.bodies(turn.connection, sorted(resend))
        for attempt_id in resend:
            run = runs.get(self._unsent.get(attempt_id, ""))
            attempt, body = None if run is None else run.open.get(attempt_id), bodies.get(attempt_id)
            if attempt is None or body is None:
                # It has ended, so the broker had it.
                self.forget(attempt_id)
            else:
                turn.outbox[attempt_id] = outgoing(self._settings, attempt.agent_id, attempt_id, body)

    def confirmed(self, turn: Turn, confirmations: Sequence[Published], runs: Mapping[str, Run]) -> list[Finding]:
        """Note `sent` once the broker has an attempt; return verdicts where there is evidence that nobody has it.

        What is not known is published again at a next look into the store.
        """
        never = []
        for each in confirmations:
            run = runs.get(self._unsent.get(each.attempt_id, ""))
            attempt = None if run is None else run.open.get(each.attempt_id)
            if each.confirmation is Confirmation.UNKNOWN and attempt is not None:
                self._resend.add(each.attempt_id)
                continue
            self.forget(each.attempt_id)
            if run is None or attempt is None or not turn.own(run):
                continue
            if each.confirmation is Confirmation.CONFIRMED:
                if attempt.state is AttemptState.SENDING:
                    attempt.state = AttemptState.SENT
                    turn.sent.append({"b_id": attempt.id, "b_at": turn.stored_now})
            else:
                words = _NOT_TAKEN[each.confirmation].format(agent=attempt.agent_id)
                never.append(Finding(attempt.id, Verdict.NEVER_STARTED, words, of_message=True))
        return never

    def _try(self, message: Outgoing) -> Future[Confirmation] | None:
        try:
            return self._transport.publish(message)
        except MessagingError as error:
            log.warning("a message cannot be published now: %s", error, extra={"action": "publish"})
            return None

    def _confirmed(self, attempt_id: str, future: Future[Confirmation]) -> None:
        confirmation = confirmation_of(future)
        # That all went well is noted when there is time: most operations have ended by then, and nobody asks any more.
        self._inbox.put(Published(attempt_id, confirmation), patient=confirmation is Confirmation.CONFIRMED)
