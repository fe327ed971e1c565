"""What a dead letter means: a verdict for the attempt that it was about, or a defect to report."""

from __future__ import annotations

import logging

from outrider.dispatcher.recorder import Finding
from outrider.dispatcher.signals import DeadLetterArrived
from outrider.messaging.codec import decode
from outrider.messaging.errors import DecodeError
from outrider.messaging.messages import OperationTask, Verdict

log = logging.getLogger(__name__)

_NEVER_DELIVERED = {
    "expired": "it waited in the agent's queue until its start window was over",
    "maxlen": "the agent's queue is full",
    "rejected": "the agent refused the message",
}


def read(arrival: DeadLetterArrived) -> Finding | None:
    """Return the verdict that a dead letter gives; None = it is about no attempt, and was reported."""
    delivery = arrival.delivery
    letter = delivery.dead_letter
    queue, reason = ("?", "unknown") if letter is None else (letter.queue, letter.reason)
    try:
        message = decode(delivery.body)
    except DecodeError as error:
        log.warning("a message in %s is not ours (%s, %s)", queue, reason, error, extra={"action": "dead_letter"})
        return None
    if not isinstance(message, OperationTask):
        # Its content may hold what an operation logged; the kind and the names are enough to look further.
        log.error(
            "a %s from %s was not taken: %s", type(message).__name__, queue, reason, extra={"action": "dead_letter"}
        )
        return None
    if reason in _NEVER_DELIVERED:
        return Finding(message.attempt_id, Verdict.NEVER_STARTED, _NEVER_DELIVERED[reason], of_message=True)
    # Delivered again and again and never acknowledged: the agent may have come as far as starting it.
    text = f"the broker gave up delivering it to agent {delivery.routing_key!r} ({reason})"
    return Finding(message.attempt_id, Verdict.MAY_HAVE_RUN, text)
