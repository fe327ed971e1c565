"""What an agent does first: takes up, from journal and folders, what the agent before it left."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Optional

from outrider.agent.attempts import Attempt, Attempts, Phase
from outrider.agent.errors import PreparationFailed, Refused
from outrider.agent.folder import AttemptFolder
from outrider.agent.journal import Entry, Journal, State
from outrider.agent.launch import attempt_folder
from outrider.agent.lease import Lease
from outrider.agent.outbox import ResultOutbox
from outrider.agent.runner.processes import boot_id
from outrider.agent.runner.tree import PROOF_NONE, Tree
from outrider.agent.updates import UpdateShipper
from outrider.agent.worker import Worker
from outrider.messaging.codec import decode
from outrider.messaging.errors import DecodeError
from outrider.messaging.messages import OperationResult, OperationTask

logger = logging.getLogger(__name__)

#: An attempt that was being prepared at so many deaths of the agent is not tried again.
_MOST_DEATHS = 2


class Recovery:
    """Goes through the journal once."""

    def __init__(
        self,
        *,
        state_dir: Path,
        journal: Journal,
        attempts: Attempts,
        worker: Worker,
        outbox: ResultOutbox,
        updates: UpdateShipper,
        lease: Lease,
    ) -> None:
        self._state_dir = state_dir
        self._journal = journal
        self._attempts = attempts
        self._worker = worker
        self._outbox = outbox
        self._updates = updates
        self._lease = lease

    def run(self) -> None:
        """Take up every unfinished attempt, and remove the folders that belong to none."""
        self._journal.count_deaths()
        entries = self._journal.unfinished()
        for entry in entries:
            self._take_up(entry)
        kept = {entry.attempt_id for entry in entries}
        folder = attempt_folder(self._state_dir, "x").parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in folder.iterdir():
            if path.name not in kept:
                _clear(AttemptFolder(path))
        if entries:
            logger.info("%d unfinished attempts were found in the journal", len(entries))

    def _take_up(self, entry: Entry) -> None:
        attempt = self._attempt(entry)
        if attempt is None:
            return
        attempt.journaled = True
        attempt.cancelled = entry.cancelled
        self._attempts.add(attempt)
        if entry.state is State.FINISHED:
            self._report_again(attempt, entry)
        elif entry.state is State.STARTING and entry.identity is not None:
            self._worker.adopt(attempt, entry.identity)
        elif entry.cancelled:
            self._worker.conclude_cancelled(attempt)
        elif entry.deaths >= _MOST_DEATHS:
            text = f"the agent died {entry.deaths} times while it prepared this attempt; it is not tried again"
            self._worker.conclude_not_run(attempt, PreparationFailed("Quarantined", text, recoverable=False))
        elif not self._lease.carried_over:
            text = "the agent was away for longer than half a lease before it could start"
            self._worker.conclude_not_run(attempt, Refused("LeaseLost", text))
        else:
            self._worker.put(attempt)

    def _report_again(self, attempt: Attempt, entry: Entry) -> None:
        attempt.phase = Phase.REPORTING
        last = 0
        if entry.result is not None:
            result = decode(entry.result)
            last = result.last_sequence if isinstance(result, OperationResult) else 0
            self._outbox.send(attempt.attempt_id, entry.result)
        self._updates.watch(attempt.task, attempt.folder, confirmed=attempt.folder.shipped())
        self._updates.finish(attempt.attempt_id, last)

    def _attempt(self, entry: Entry) -> Optional[Attempt]:
        folder = AttemptFolder(attempt_folder(self._state_dir, entry.attempt_id))
        if entry.task is None and entry.result is not None:
            # It was cancelled, or refused, before it was accepted: there is nothing but this.
            self._outbox.send(entry.attempt_id, entry.result)
            return None
        try:
            task = decode(entry.task or b"")
        except DecodeError as error:
            # Journaled by a release that is newer than this one.
            logger.error("attempt %s in the journal cannot be read: %s", entry.attempt_id, error)  # noqa: TRY400 - the text says it all
            if entry.result is not None:
                self._outbox.send(entry.attempt_id, entry.result)
            return None
        if not isinstance(task, OperationTask):
            return None
        return Attempt(task, entry.task or b"", folder, silences=self._lease.silences)


def _clear(folder: AttemptFolder) -> None:
    """Remove a folder that the journal does not know, and first end what may still run there.

    That happens with a journal that was lost or restored from an old copy: the dispatcher gives such an attempt up, and
    the next attempt of its task must not run beside it.
    """
    identity = None if folder.being_removed else folder.identity()
    if identity is not None and identity["boot_id"] == boot_id() and folder.outcome() is None:
        tree = Tree.of(folder.path.name, identity)
        if tree.members():
            proof = tree.end(grace_seconds=0)
            words = "it may still be running" if proof == PROOF_NONE else f"it was ended (proof: {proof})"
            logger.warning("attempt %s runs here, and the journal does not know it: %s", folder.path.name, words)
            if proof == PROOF_NONE:
                return
    folder.remove()
