"""One agent: its parts, put together; started and stopped in an order that loses nothing."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Optional

from outrider.agent import downloads
from outrider.agent.attempts import Attempts, Phase
from outrider.agent.clock import machine_id
from outrider.agent.code import copy_code
from outrider.agent.control import Control, Handler
from outrider.agent.environments import Environments
from outrider.agent.errors import JournalError, StateLocked, StateUnusable
from outrider.agent.folder import AttemptFolder
from outrider.agent.heartbeat import Heart
from outrider.agent.intake import Intake
from outrider.agent.journal import Journal
from outrider.agent.launch import Launcher, attempt_folder
from outrider.agent.lease import Lease
from outrider.agent.outbox import ResultOutbox
from outrider.agent.previous import PreviousAttempts
from outrider.agent.prewarm import Prewarm
from outrider.agent.questions import Questions
from outrider.agent.recovery import Recovery
from outrider.agent.requests import DispatcherRequests
from outrider.agent.runners import Runners
from outrider.agent.settings import Settings
from outrider.agent.updates import UpdateShipper
from outrider.agent.verdicts import Reporter
from outrider.agent.worker import Worker
from outrider.messaging.errors import MessagingError
from outrider.messaging.messages import ControlKind
from outrider.messaging.transport import Transport

logger = logging.getLogger(__name__)

_ROUND_SECONDS = 1.0
_PRUNE_SECONDS = 3600.0
_POLL_SECONDS = 0.02


class Agent:
    """Consumes the agent's queue and runs what it finds there.

    `transport` belongs to the caller, who closes it after `stop`. One agent per state folder: `start` raises
    `StateLocked` if there is another. Queues and exchanges must exist (see `messaging.topology.agent_topology`).
    """

    def __init__(
        self, settings: Settings, transport: Transport, *, beside: Optional[Mapping[ControlKind, Handler]] = None
    ) -> None:
        """`beside`: what a process that is an agent and nothing else answers on the control queue besides."""
        self.settings = settings
        self._beside = beside or {}
        self._transport = transport
        self._held = contextlib.ExitStack()
        self._running = False
        self._attempts = Attempts()
        self._closing = threading.Event()
        self._finished: queue.SimpleQueue[Optional[str]] = queue.SimpleQueue()
        #: Attempt → what is still missing until its folder may go.
        self._missing: dict[str, set[str]] = {}
        self._missing_lock = threading.Lock()
        self._forget_at = time.monotonic() + _PRUNE_SECONDS

    def start(self) -> None:
        """Take up what an earlier agent left, then begin to take tasks.

        Raises `StateLocked`, `StateUnusable`, `JournalError`, and what the transport raises.
        """
        settings, state_dir = self.settings, self.settings.state_dir
        try:
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._held.enter_context(lock_state(state_dir))
            self._journal = Journal(state_dir / "journal.db", machine=machine_id())
            self._held.callback(self._journal.close)
            self._start(settings, state_dir)
        except OSError as error:
            self._held.close()
            place = error.filename2 or error.filename or state_dir
            raise StateUnusable(
                f"the state folder {state_dir} cannot be used: {place}: {error.strerror or error}; make room or mend "
                "it, or give the agent another one"
            ) from error
        except BaseException:
            self._held.close()
            raise
        self._running = True
        logger.info("agent %s runs; its state is in %s", settings.agent_id, state_dir)

    def _start(self, settings: Settings, state_dir: Path) -> None:
        self._journal.prune(older_than_seconds=settings.journal_keep_seconds)
        self._build(settings, state_dir)
        self._runners.adopt()
        self._threads = [
            threading.Thread(target=self._keep_house, name="house", daemon=True),
            threading.Thread(target=self._clean_up, name="cleaner", daemon=True),
        ]
        self._worker.start()
        self._updates.start()
        Recovery(
            state_dir=state_dir,
            journal=self._journal,
            attempts=self._attempts,
            worker=self._worker,
            outbox=self._outbox,
            updates=self._updates,
            lease=self._lease,
        ).run()
        for thread in self._threads:
            thread.start()
        self._transport.on_connection_change(self._connection_changed)
        self._control.start()
        self._questions.start()
        self._heart.start()
        self._intake.start()

    def drain(self, *, limit_seconds: float) -> bool:
        """Take no more tasks and wait until all in hand are reported; returns whether that was within the limit."""
        self._intake.drain()
        self._heart.beat_now()
        deadline = time.monotonic() + limit_seconds
        while self._attempts.all():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def stop(self, *, end_runners: bool = False, limit_seconds: float = 10.0) -> None:
        """Stop. Operations go on, and the next agent with this state folder finds them; idempotent.

        `end_runners`: also end the warm processes, as soon as nothing runs in them (in-process agents do that).
        """
        if not self._running:
            return
        self._running = False
        self._intake.drain()
        self._questions.stop()
        self._control.stop()
        self._heart.close()
        self._prewarm.close(limit_seconds=limit_seconds)
        self._worker.stop(limit_seconds=limit_seconds)
        try:
            self._journal.forgive()
        except JournalError as error:
            logger.warning("%s", error)
        self._updates.close()
        self._closing.set()
        self._intake.changed.set()
        self._finished.put(None)
        for thread in self._threads:
            thread.join(limit_seconds)
        try:
            if end_runners and not self._runners.stop_all(limit_seconds=limit_seconds):
                logger.warning("operations are still running; their runners end after them")
        finally:
            self._held.close()

    def end_operations(self, *, grace_seconds: float) -> dict[str, str]:
        """End all operations that run here; returns attempt → ``stopped``, ``not_confirmed`` …."""
        return {
            attempt_id: self._worker.cancel(attempt_id, grace_seconds=grace_seconds)
            for attempt_id in self._attempts.in_phase(Phase.RUNNING)
        }

    @property
    def healthy(self) -> bool:
        """Whether it does its work: the broker serves its consumer, or there is a reason that it should not."""
        return self._intake.alive

    @property
    def status(self) -> str:
        """One line about it, for the service manager."""
        phases = ", ".join(f"{len(self._attempts.in_phase(phase))} {phase.value}" for phase in Phase)
        return f"{self._intake.state}: {phases}"

    def _build(self, settings: Settings, state_dir: Path) -> None:
        transport, journal, attempts = self._transport, self._journal, self._attempts
        self._lease = Lease(lease_seconds=settings.lease_seconds, note=state_dir / "lease")
        self._runners = Runners(settings, copy_code(state_dir / "sdk"))
        self._requests = DispatcherRequests(settings.agent_id, transport)
        self._questions = Questions(state_dir, attempts, self._requests)
        self._outbox = ResultOutbox(settings.agent_id, transport, journal, lambda a: self._delivered(a, "result"))
        self._updates = UpdateShipper(settings.agent_id, transport, lambda a: self._delivered(a, "updates"))
        environments = self._environments = Environments(state_dir)
        self._prewarm = Prewarm(environments, self._runners)
        launcher = Launcher(
            journal=journal,
            environments=environments,
            runners=self._runners,
            requests=self._requests,
            updates=self._updates,
            lease=self._lease,
            grace_seconds=settings.grace_seconds,
        )
        previous = PreviousAttempts(
            journal, attempts, cancel=lambda a: self._worker.cancel(a, grace_seconds=settings.grace_seconds)
        )
        self._worker = Worker(
            slots=settings.slots,
            attempts=attempts,
            journal=journal,
            launcher=launcher,
            previous=previous,
            reporter=Reporter(settings.agent_id, limit_bytes=settings.result_limit_bytes),
            outbox=self._outbox,
            updates=self._updates,
            give_back=lambda a, error: self._intake.give_back(a, error),  # noqa: PLW0108 - it is made below
        )
        self._intake = Intake(
            settings=settings,
            transport=transport,
            journal=journal,
            attempts=attempts,
            worker=self._worker,
            lease=self._lease,
        )
        self._heart = Heart(
            settings=settings,
            transport=transport,
            journal=journal,
            attempts=attempts,
            lease=self._lease,
            state=lambda: self._intake.state,
        )
        self._control = Control(
            agent_id=settings.agent_id,
            transport=transport,
            worker=self._worker,
            intake=self._intake,
            heart=self._heart,
            journal=journal,
            requests=self._requests,
            beside={ControlKind.PREPARE: self._prewarm.answer, **self._beside},
            grace_seconds=settings.grace_seconds,
        )

    # What goes on beside operations

    def _connection_changed(self, connected: bool) -> None:  # noqa: FBT001 - the listener's signature
        if connected:
            self._heart.beat_now()
            self._outbox.send_again()

    def _delivered(self, attempt_id: str, part: str) -> None:
        """The broker has the result, or all updates; with both, nothing of the attempt is needed here any more."""
        with self._missing_lock:
            missing = self._missing.setdefault(attempt_id, {"result", "updates"})
            missing.discard(part)
            if missing:
                return
            del self._missing[attempt_id]
        self._attempts.remove(attempt_id)
        self._intake.relieve()
        self._finished.put(attempt_id)

    def _clean_up(self) -> None:
        while (attempt_id := self._finished.get()) is not None:
            try:
                AttemptFolder(attempt_folder(self.settings.state_dir, attempt_id)).remove()
            except Exception:
                # What operations leave there is foreign: this one stays until the next start, all others must go.
                logger.exception("the folder of attempt %s cannot be removed", attempt_id)

    def _keep_house(self) -> None:
        steps = (self._outbox.send_again, self._intake.review, self._runners.tidy, self._forget_the_old)
        while not self._closing.is_set():
            self._intake.changed.wait(_ROUND_SECONDS)
            self._intake.changed.clear()
            for step in steps:
                try:
                    step()
                except (MessagingError, JournalError, OSError) as error:
                    logger.warning("housekeeping: %s", error)
                except Exception:
                    # Without these rounds, results that were not confirmed would wait for ever.
                    logger.exception("housekeeping")

    def _forget_the_old(self) -> None:
        if time.monotonic() > self._forget_at:
            self._forget_at = time.monotonic() + _PRUNE_SECONDS
            self._journal.prune(older_than_seconds=self.settings.journal_keep_seconds)
            unused_seconds = self.settings.environment_keep_seconds
            downloads.collect(self.settings.state_dir, unused_seconds=unused_seconds)
            self._environments.collect(unused_seconds=unused_seconds)


@contextlib.contextmanager
def lock_state(state_dir: Path) -> Iterator[None]:
    """Hold the state folder alone. Raises `StateLocked`."""
    descriptor = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StateLocked(
            f"another agent uses {state_dir}: stop it, or give this one a state_dir of its own"
        ) from error
    try:
        yield
    finally:
        os.close(descriptor)
