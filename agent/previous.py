"""The attempt before a new one: two attempts of a task must not overlap, and a result that exists is not made twice."""

from __future__ import annotations

import logging
from typing import Callable, Optional

from outrider.agent.attempts import Attempt, Attempts
from outrider.agent.errors import Refused
from outrider.agent.journal import Entry, Journal, State, number_of
from outrider.agent.runner.processes import boot_id
from outrider.agent.runner.tree import PROOF_NONE, Tree
from outrider.messaging.messages import Verdict

logger = logging.getLogger(__name__)

#: After these, what the operation left running was left on purpose.
_ON_PURPOSE = (Verdict.SUCCEEDED.value, Verdict.RESCHEDULED.value)


class PreviousAttempts:
    """Settles what a new attempt names as its predecessor."""

    def __init__(self, journal: Journal, attempts: Attempts, *, cancel: Callable[[str], str]) -> None:
        self._journal = journal
        self._attempts = attempts
        self._cancel = cancel

    def settle(self, attempt: Attempt) -> None:
        """Make sure that the attempts before this one are over. Raises `Refused` if one has a result, or will not end.

        The dispatcher names the last one that may have run. It need not be one that came here: what runs here may be
        an earlier one, which the dispatcher has given up.
        """
        named = attempt.task.previous_attempt_id
        if named is None:
            return
        earlier = [each for each in self._journal.of_task(attempt.attempt_id) if _is_before(each, attempt)]
        if named not in {each.attempt_id for each in earlier}:
            entry = self._journal.entry(named)
            earlier += [] if entry is None else [entry]
        for entry in earlier:
            if entry.state is not State.DONE or entry.attempt_id == named:
                self._settle(attempt, entry)
        attempt.over = frozenset(each.attempt_id for each in earlier)

    def _settle(self, attempt: Attempt, entry: Entry) -> None:
        previous_id = entry.attempt_id
        if entry.verdict == Verdict.NEVER_STARTED.value:
            return
        if entry.state is State.FINISHED:
            raise Refused(
                "PreviousHasResult", f"the attempt before it, {previous_id}, has a result, which is being sent"
            )
        if entry.state in (State.ACCEPTED, State.STARTING):
            if attempt.task.only_if_resumable:
                # Nobody has decided that it may be ended; its own result will tell more than a new attempt could.
                raise Refused("PreviousStillRuns", f"the attempt before it, {previous_id}, is still at work here")
            attempt.doing = f"ending the attempt before it, {previous_id}"
            answer = self._cancel(previous_id)
            logger.warning("attempt %s: the one before it, %s, was ended: %s", attempt.attempt_id, previous_id, answer)
            if answer == "finished":
                raise Refused("PreviousHasResult", f"the attempt before it, {previous_id}, has just ended")
            if answer == "not_confirmed":
                raise Refused(
                    "PreviousStillRuns", f"the attempt before it, {previous_id}, cannot be proven to have ended"
                )
            return
        self._end_leftovers(previous_id, entry)

    def _end_leftovers(self, previous_id: str, entry: Entry) -> None:
        tree = _tree(entry)
        if tree is None or entry.verdict in _ON_PURPOSE or not tree.members():
            return
        if tree.end(grace_seconds=0) == PROOF_NONE and tree.members():
            raise Refused("PreviousStillRuns", f"processes of the attempt before it, {previous_id}, cannot be ended")


def _is_before(entry: Entry, attempt: Attempt) -> bool:
    number = number_of(entry.attempt_id)
    return number is not None and number < attempt.task.attempt_number


def _tree(entry: Entry) -> Optional[Tree]:
    if entry.identity is None or entry.identity.get("boot_id") != boot_id():
        return None
    return Tree.of(entry.attempt_id, entry.identity)
