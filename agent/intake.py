"""Receiving tasks: decode, recognise, journal, acknowledge, put into a slot; and taking no more than can be kept.

A delivery is never held for an operation's duration. If a slot is idle, the attempt goes there at once and is journaled
with its start, in one commit; otherwise it is journaled as accepted, acknowledged, and waits here.
"""

from __future__ import annotations

import logging
import shutil
import threading
from typing import Optional

from outrider.agent import journal as journaling
from outrider.agent.attempts import Attempt, Attempts
from outrider.agent.folder import AttemptFolder, is_safe_id
from outrider.agent.journal import Entry, Journal, State
from outrider.agent.launch import attempt_folder
from outrider.agent.lease import Lease
from outrider.agent.settings import Settings
from outrider.agent.worker import Worker
from outrider.messaging.codec import decode
from outrider.messaging.errors import DecodeError
from outrider.messaging.messages import OperationTask
from outrider.messaging.topology import agent_queue
from outrider.messaging.transport import Consumer, Delivery, Transport

logger = logging.getLogger(__name__)


class Intake:
    """The consumer of the agent's queue."""

    def __init__(
        self,
        *,
        settings: Settings,
        transport: Transport,
        journal: Journal,
        attempts: Attempts,
        worker: Worker,
        lease: Lease,
    ) -> None:
        self._agent_id = settings.agent_id
        self._state_dir = settings.state_dir
        self._prefetch = max(16, 2 * settings.slots)
        self._backlog_limit = settings.backlog_limit
        self._disk_reserve = settings.disk_reserve_mib * 2**20
        self._transport = transport
        self._journal = journal
        self._attempts = attempts
        self._worker = worker
        self._lease = lease
        self._lock = threading.Lock()
        self._consumer: Optional[Consumer] = None
        self._draining = False
        self._disk_full = False
        self._backlog_full = False
        self._refused: list[Attempt] = []
        #: The state that the log told last.
        self._told = ""
        #: Set when `review` has something to do; whoever waits for it must not be a thread of the transport's.
        self.changed = threading.Event()

    @property
    def state(self) -> str:
        """What the heartbeat says: whether tasks are taken, and why not."""
        if self._draining:
            return "draining"
        if self._disk_full:
            return "disk-full"
        return "backlog-full" if self._backlog_full else "running"

    @property
    def alive(self) -> bool:
        """Whether the broker serves the consumer, or there is a reason that it should not."""
        consumer = self._consumer
        return consumer.alive if consumer is not None else self.state != "running"

    def start(self) -> None:
        """Begin to consume."""
        self.review()

    def drain(self) -> None:
        """Take no more tasks until `undrain`, or until the agent is started again."""
        self._draining = True
        self.review()

    def undrain(self) -> None:
        """Take tasks again."""
        self._draining = False
        self.review()

    def review(self) -> None:
        """Consume, or stop consuming, as backlog, disk and draining demand; called every second and at each change.

        Waits for the broker, so it must not be called by a thread that handles messages or the journal.
        """
        waiting = self._attempts.waiting()
        with self._lock:
            # Between the bound and half of it, it stays as it is.
            self._backlog_full = waiting >= self._backlog_limit or (
                self._backlog_full and waiting > self._backlog_limit // 2
            )
            self._disk_full = (
                bool(self._refused)
                or self._free_bytes() < self._disk_reserve
                # A quota, or a file system that became read-only: the same tasks would only be given back again.
                or (self._disk_full and not self._journal.writable())
            )
            wanted = self.state == "running"
            if wanted and self._consumer is None:
                self._consumer = self._transport.consume(
                    agent_queue(self._agent_id), self.receive, prefetch=self._prefetch
                )
            elif not wanted and self._consumer is not None:
                consumer, self._consumer = self._consumer, None
                consumer.cancel()
            self._tell()
        # Only now, with no consumer that would get them again at once.
        while self._refused:
            self._refused.pop().give_back()

    def _tell(self) -> None:
        """Log what is done about tasks, where that has changed."""
        state, before = self.state, self._told
        self._told = state
        if state == before:
            return
        if state == "running":
            logger.info("taking tasks from %s", agent_queue(self._agent_id))
        elif state == "disk-full":
            logger.warning(
                "taking no tasks: the disk of %s is full (%.0f MiB are free, of which %.0f are kept by the setting "
                "disk_reserve_mib), or cannot be written; what waits goes on when there is room",
                self._state_dir,
                self._free_bytes() / 2**20,
                self._disk_reserve / 2**20,
            )
        else:
            logger.info("taking no tasks: %s", state)

    def give_back(self, attempt: Attempt, error: Exception) -> None:
        """The journal cannot take an attempt: the broker gets it again, once nobody takes tasks here."""
        logger.error("attempt %s is given back: %s", attempt.attempt_id, error)
        self._attempts.remove(attempt.attempt_id)
        self._refused.append(attempt)
        self.changed.set()

    def relieve(self) -> None:
        """An attempt is done: have it reviewed whether tasks can be taken again."""
        if self._backlog_full:
            self.changed.set()

    def receive(self, delivery: Delivery) -> None:
        """Handle one delivery; on the transport's thread."""
        try:
            task = decode(delivery.body)
        except DecodeError as error:
            delivery.reject(f"not a task: {error}")
            return
        if not isinstance(task, OperationTask):
            delivery.reject(f"a task is expected on this queue, this is a {type(task).__name__}")
            return
        if not is_safe_id(task.attempt_id):
            delivery.reject(f"the attempt id {task.attempt_id!r} cannot be used: letters, digits, '.', '_', '-' only")
            return
        folder = AttemptFolder(attempt_folder(self._state_dir, task.attempt_id))
        attempt = Attempt(task, delivery.body, folder, silences=self._lease.silences)
        known = self._attempts.add(attempt)
        known.hold(delivery)
        if known is attempt:
            self._take(attempt)

    def _take(self, attempt: Attempt) -> None:
        if self._worker.reserve():
            self._worker.put(attempt, reserved=True)
            return
        self._journal.submit(
            journaling.accept(attempt.attempt_id, attempt.body),
            lambda known, error: self._accepted(attempt, known, error),
        )

    def _accepted(self, attempt: Attempt, known: Optional[Entry], error: Optional[Exception]) -> None:
        """The journal has it, or not; on the journal's thread."""
        if error is not None:
            self.give_back(attempt, error)
            return
        attempt.settle()
        if known is None or (known.state is State.ACCEPTED and not known.cancelled):
            self._worker.put(attempt)
            if not self._backlog_full and self._attempts.waiting() >= self._backlog_limit:
                self.changed.set()
        elif known.state is State.ACCEPTED:
            self._worker.conclude_cancelled(attempt)
        else:
            self._worker.answer_known(attempt, known)

    def _free_bytes(self) -> int:
        try:
            return shutil.disk_usage(self._state_dir).free
        except OSError:
            return 0
