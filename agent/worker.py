"""The life of an operation on this agent, from its acceptance to its result.

`intake` receives tasks and puts them here; each slot is a thread that takes one and goes through `_live`, top to
bottom: check, prepare the plugin's environment and runner, redeem secrets, start (the journal's compare-and-set, then
*go*), wait for the end, judge, report. Whatever goes wrong becomes the attempt's result; nothing of it ends the thread.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from dataclasses import replace
from typing import Any, Callable, Optional

from outrider.agent import journal as journaling
from outrider.agent.attempts import Attempt, Attempts, Phase
from outrider.agent.ending import Deadline, Interrupted, await_end, last_word
from outrider.agent.errors import JournalError, PreparationFailed, Refused
from outrider.agent.journal import Entry, Journal
from outrider.agent.launch import AlreadyKnown, Launched, Launcher
from outrider.agent.outbox import ResultOutbox
from outrider.agent.previous import PreviousAttempts
from outrider.agent.questions import is_workflow
from outrider.agent.runner.processes import boot_id
from outrider.agent.runner.tree import PROOF_NONE, Tree
from outrider.agent.updates import UpdateShipper
from outrider.agent.verdicts import Reporter
from outrider.messaging.messages import Durations, OperationResult, Proof, Verdict

logger = logging.getLogger(__name__)
#: How each operation ended, which commands that follow executions tell themselves.
endings = logging.getLogger("outrider.agent.endings")

#: Added to a timeout before the agent acts in the runner's place.
_BACKSTOP_SECONDS = 15.0
_STOP_WORD_SECONDS = 30.0


class Worker:
    """The slots."""

    def __init__(  # noqa: PLR0913 - keyword-only; each is what a part of an operation's life needs
        self,
        *,
        slots: int,
        attempts: Attempts,
        journal: Journal,
        launcher: Launcher,
        previous: PreviousAttempts,
        reporter: Reporter,
        outbox: ResultOutbox,
        updates: UpdateShipper,
        give_back: Callable[[Attempt, Exception], None],
    ) -> None:
        """`give_back`: called with an attempt that the journal cannot take; whoever sent it still has it."""
        self._attempts = attempts
        self._journal = journal
        self._launcher = launcher
        self._previous = previous
        self._reporter = reporter
        self._outbox = outbox
        self._updates = updates
        self._give_back = give_back
        self._queue: queue.SimpleQueue[Optional[Attempt]] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._slot, name=f"slot-{n}", daemon=True) for n in range(slots)]
        self._lock = threading.Lock()
        self._idle = slots
        #: Readable when the agent stops: wakes the threads that wait for operations, which go on without them.
        self._interrupt, self._interrupt_write = os.pipe()

    def start(self) -> None:
        """Start the slots."""
        for thread in self._threads:
            thread.start()

    def stop(self, *, limit_seconds: float) -> None:
        """End the threads; operations that run are left running for the next agent."""
        os.write(self._interrupt_write, b"x")
        for _ in self._threads:
            self._queue.put(None)
        deadline = time.monotonic() + limit_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if not any(thread.is_alive() for thread in self._threads):
            os.close(self._interrupt)
            os.close(self._interrupt_write)

    def reserve(self) -> bool:
        """Take an idle slot for an attempt that is not journaled yet; False if none is idle."""
        with self._lock:
            if self._idle <= 0:
                return False
            self._idle -= 1
            return True

    def put(self, attempt: Attempt, *, reserved: bool = False) -> None:
        """Have the attempt run when a slot is free; a workflow function, which waits for others, takes none."""
        beside = is_workflow(attempt)
        if reserved == beside:
            with self._lock:
                self._idle += 1 if beside else -1
        if not beside:
            self._queue.put(attempt)
            return
        try:
            self._run_beside(attempt, None)
        except RuntimeError as error:
            self.conclude_not_run(attempt, Refused("NoThread", f"there is no thread for it at the moment: {error}"))

    def adopt(self, attempt: Attempt, identity: dict[str, Any]) -> None:
        """Wait for an operation that an earlier agent started, beside the slots, and report it."""
        self._run_beside(attempt, identity)

    def _run_beside(self, attempt: Attempt, identity: Optional[dict[str, Any]]) -> None:
        threading.Thread(
            target=self._guarded, args=(attempt, identity), name=f"beside-{attempt.attempt_id[:8]}", daemon=True
        ).start()

    def conclude_cancelled(self, attempt: Attempt) -> None:
        """Report an attempt that was cancelled before it started."""
        attempt.cancelled = True
        attempt.stop_proof = Proof.NEVER_STARTED.value
        self._conclude(attempt, self._reporter.cancelled(attempt, epoch=self._journal.epoch))

    def conclude_not_run(self, attempt: Attempt, failure: PreparationFailed) -> None:
        """Report an attempt that is not started here."""
        self._conclude(attempt, self._reporter.not_run(attempt, failure, epoch=self._journal.epoch))

    def answer_known(self, attempt: Attempt, entry: Entry) -> None:
        """A task arrived whose attempt the journal knows: answer from there, run nothing."""
        if entry.result is not None:
            attempt.phase = Phase.REPORTING
            self._outbox.send(attempt.attempt_id, entry.result)
        elif entry.state is journaling.State.TOMBSTONE:
            self.conclude_cancelled(attempt)
        elif entry.state is journaling.State.STARTING and entry.identity is not None:
            # Its start was written when nobody waited for that any more, on a disk that had stood still.
            self.adopt(attempt, entry.identity)
        else:
            # Done, and its result too large to be kept: the broker confirmed it once.
            self._attempts.remove(attempt.attempt_id)

    # A slot

    def _slot(self) -> None:
        while True:
            attempt = self._queue.get()
            if attempt is None:
                return
            self._guarded(attempt, None)
            with self._lock:
                self._idle += 1

    def _guarded(self, attempt: Attempt, identity: Optional[dict[str, Any]]) -> None:
        try:
            if identity is None:
                self._live(attempt)
            else:
                self._live_on(attempt, identity)
        except Interrupted:
            logger.debug("attempt %s goes on without this agent", attempt.attempt_id)
        except Exception as error:
            # A defect of ours, or a disk that fails: this attempt is reported if possible, and the slot goes on.
            logger.exception("attempt %s cannot be run", attempt.attempt_id)
            self._report_defect(attempt, error)

    def _live(self, attempt: Attempt) -> None:
        """The life of an operation."""
        attempt.durations["queued"] = time.monotonic() - attempt.received
        try:
            self._previous.settle(attempt)
            launched = self._launcher.launch(attempt)
        except AlreadyKnown as known:
            self._answer_forbidden(attempt, known.entry)
            return
        except PreparationFailed as failure:
            self._refuse(attempt, failure)
            return
        except JournalError as error:
            # Its start could not be recorded, so nothing was started.
            self._refuse(attempt, Refused("JournalFailed", str(error)))
            return
        self._follow(attempt, launched)

    def _live_on(self, attempt: Attempt, identity: dict[str, Any]) -> None:
        """The rest of the life of an operation that an earlier agent started."""
        attempt.tree = Tree.of(attempt.attempt_id, identity)
        attempt.phase = Phase.RUNNING
        attempt.doing = "running (found again after a restart of the agent)"
        self._updates.watch(attempt.task, attempt.folder, confirmed=attempt.folder.shipped())
        if attempt.cancelled and identity["boot_id"] == boot_id():
            self.stop_tree(attempt, grace_seconds=self._launcher.grace_seconds)
        self._follow(attempt, Launched(None, identity, time.monotonic()))

    def _follow(self, attempt: Attempt, launched: Launched) -> None:
        identity, tree = launched.identity, attempt.tree
        assert tree is not None  # noqa: S101 - set by whoever started or found it
        deadline = Deadline(
            identity["started_clock"],
            attempt.task.timeout_seconds,
            slack_seconds=self._launcher.grace_seconds + _BACKSTOP_SECONDS,
        )
        if identity["boot_id"] != boot_id():
            self._conclude(attempt, self._judge_after_reboot(attempt))
            return
        try:
            outcome = await_end(tree, launched.connection, deadline, self._interrupt)
        finally:
            if launched.connection is not None:
                launched.connection.close()
        attempt.durations["run"] = time.monotonic() - launched.since
        ended_at = time.monotonic()
        if outcome is None:
            result = self._judge(attempt, tree, identity, deadline)
        else:
            result = self._reporter.ended(attempt, outcome, epoch=self._journal.epoch)
        attempt.durations["report"] = time.monotonic() - ended_at
        result = replace(result, durations=Durations(**attempt.durations))
        self._conclude(attempt, result, at_once=outcome is not None)

    # The end

    def _judge(self, attempt: Attempt, tree: Tree, identity: dict[str, Any], deadline: Deadline) -> OperationResult:
        """Return the result of an operation that did not say how it ended."""
        epoch = self._journal.epoch
        if deadline.over and tree.root_alive():
            logger.warning("attempt %s: its runner did not stop it in time; the agent does", attempt.attempt_id)
            return self._reporter.timed_out(attempt, tree.end(grace_seconds=0), epoch=epoch)
        if attempt.cancelled:
            attempt.stopped.wait(_STOP_WORD_SECONDS)
        runner_id = str(identity.get("runner_id"))
        outcome = last_word(attempt.folder, lambda: self._launcher.runner_alive(runner_id))
        if outcome is not None:
            return self._reporter.ended(attempt, outcome, epoch=epoch)
        if attempt.cancelled:
            return self._reporter.cancelled(attempt, epoch=epoch)
        if not attempt.folder.started:
            failure = Refused("ChildDied", "the process for it ended before it called the plugin; nothing was run")
            return self._reporter.not_run(attempt, failure, epoch=epoch)
        proof = Proof(tree.end(grace_seconds=0))
        text = "the operation's process and its runner were killed; what it did, and what it returned, is not known"
        return self._reporter.lost(attempt, Verdict.RESULT_LOST, text, proof, epoch=epoch)

    def _judge_after_reboot(self, attempt: Attempt) -> OperationResult:
        epoch = self._journal.epoch
        outcome = attempt.folder.outcome()
        if outcome is not None:
            return self._reporter.ended(attempt, {**outcome, "proof": Proof.REBOOT.value}, epoch=epoch)
        # Without a marker it may have run as well: that file need not have reached the disk before the power went.
        verdict = Verdict.RESULT_LOST if attempt.folder.started else Verdict.MAY_HAVE_RUN
        text = "the host was restarted while the operation was running; what it did is not known"
        return self._reporter.lost(attempt, verdict, text, Proof.REBOOT, epoch=epoch)

    def _conclude(self, attempt: Attempt, result: OperationResult, *, at_once: bool = False) -> None:
        """Journal the result and send it; the attempt stays in hand until broker and journal have it all.

        `at_once`: the operation said itself how it ended; a success is then sent while it is being journaled. It was
        started, so the journal forbids another start if this agent dies in between, and its folder tells a later agent
        the same. The journal is given it first: what comes of its being sent, and asks the journal, finds it.
        """
        attempt.phase = Phase.REPORTING
        attempt.doing = "reporting"
        result, body = self._reporter.encode(result)
        # One that is too large has become a failure.
        at_once = at_once and result.verdict is Verdict.SUCCEEDED
        record = journaling.finish(attempt.attempt_id, result.verdict.value, body)

        def journaled(_new: object, error: Optional[Exception]) -> None:
            if error is not None and not attempt.journaled:
                # The journal knows nothing of it, so it can still be somebody else's, or ours later.
                self._give_back(attempt, error)
                return
            attempt.settle()
            if error is not None:
                # A full disk: what is known is sent anyway, and journaled when that is possible again.
                logger.error("the result of attempt %s is not journaled yet: %s", attempt.attempt_id, error)
                self._outbox.journal_later(attempt.attempt_id, record)
            elif at_once:
                self._outbox.journaled(attempt.attempt_id)
            if not at_once:
                self._outbox.send(attempt.attempt_id, body)
            self._updates.watch(attempt.task, attempt.folder)
            self._updates.finish(attempt.attempt_id, result.last_sequence)

        if at_once:
            self._outbox.expect_ahead(attempt.attempt_id)
        self._journal.submit(record, journaled)
        if at_once:
            self._outbox.send(attempt.attempt_id, body)
        level = logging.INFO if result.verdict in (Verdict.SUCCEEDED, Verdict.RESCHEDULED) else logging.WARNING
        endings.log(
            level,
            "attempt %s of %s: %s%s",
            attempt.attempt_id,
            attempt.task.operation,
            result.verdict.value,
            f" ({result.error.type}: {result.error.message})" if result.error else "",
        )

    def _refuse(self, attempt: Attempt, failure: PreparationFailed) -> None:
        if attempt.cancelled:
            self.conclude_cancelled(attempt)
        else:
            self.conclude_not_run(attempt, failure)

    def _answer_forbidden(self, attempt: Attempt, entry: Entry) -> None:
        """The journal forbade the start."""
        attempt.settle()
        if entry.state is journaling.State.ACCEPTED:
            self.conclude_cancelled(attempt)
        else:
            self.answer_known(attempt, entry)

    def _report_defect(self, attempt: Attempt, error: Exception) -> None:
        tree = attempt.tree
        if tree is None:
            self.conclude_not_run(
                attempt, PreparationFailed(type(error).__name__, f"the agent failed: {error}", recoverable=True)
            )
            return
        try:
            proof = Proof(tree.end(grace_seconds=0))
        except OSError:
            # No descriptor is left, say, and nobody knows what runs: that has to be reported all the more.
            proof = Proof.NONE
        text = f"the agent failed while the operation was running: {type(error).__name__}: {error}"
        result = self._reporter.lost(attempt, Verdict.RESULT_LOST, text, proof, epoch=self._journal.epoch)
        self._conclude(attempt, replace(result, properties=()))

    # Cancel

    def cancel(self, attempt_id: str, *, grace_seconds: float) -> str:
        """Cancel an attempt; returns ``never_started``, ``finished``, ``stopped`` or ``not_confirmed``.

        The tombstone is durable before anything else happens.
        """
        entry = self._journal.call(journaling.cancel(attempt_id))
        attempt = self._attempts.get(attempt_id)
        if attempt is not None:
            attempt.cancelled = True
        if entry is None or entry.state in (journaling.State.ACCEPTED, journaling.State.TOMBSTONE):
            return "never_started"
        if entry.state is not journaling.State.STARTING or attempt is None:
            return "finished"
        return "stopped" if self.stop_tree(attempt, grace_seconds=grace_seconds) != PROOF_NONE else "not_confirmed"

    def stop_tree(self, attempt: Attempt, *, grace_seconds: float) -> str:
        """End the processes of an attempt that was started; returns the proof."""
        tree = attempt.tree
        attempt.doing = "being stopped"
        proof = tree.end(grace_seconds=grace_seconds) if tree is not None else PROOF_NONE
        attempt.stop_proof = proof
        attempt.stopped.set()
        return proof
