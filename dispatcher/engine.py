"""The engine: one thread that sequences executions. Read `turn` from top to bottom.

A turn takes everything that has happened, applies it to the executions in memory, commits once, then publishes what
is to be sent and acknowledges what was received. Nothing is sent before it is stored and nothing is acknowledged
before it is stored. When the store fails, the turn leaves no trace: the executions are dropped from memory and taken
up again from the store, and the broker delivers again what was not acknowledged.
"""

from __future__ import annotations

import logging
import socket
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from outrider.dispatcher import cancelling, control, dead_letters, narrate, quarantine
from outrider.dispatcher.alarms import Alarm, TimerKey
from outrider.dispatcher.attempts import AttemptMaker, Files
from outrider.dispatcher.clock import Clock
from outrider.dispatcher.consumers import Consumers
from outrider.dispatcher.errors import DispatcherError, NotFound, StoreError
from outrider.dispatcher.fleet import Fleet
from outrider.dispatcher.function_requests import FunctionRequests
from outrider.dispatcher.hearing import Hearing
from outrider.dispatcher.host_agents import HostAgents
from outrider.dispatcher.leases import LeaseBook
from outrider.dispatcher.manager_access import ManagerAccess, ManagerAddress
from outrider.dispatcher.outbox import Outbox
from outrider.dispatcher.prewarming import Prewarming
from outrider.dispatcher.progress import Progress
from outrider.dispatcher.quarantine import Suspicion
from outrider.dispatcher.recorder import Finding, Recorder
from outrider.dispatcher.recovery import Planner, Restored, restore
from outrider.dispatcher.run import Run
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.signals import (
    BrokerChanged,
    DeadLetterArrived,
    HeartbeatArrived,
    Inbox,
    Look,
    Published,
    ReplyArrived,
    RequestArrived,
    ResultArrived,
    Signal,
    UpdateArrived,
)
from outrider.dispatcher.stages import Stages
from outrider.dispatcher.store import attempts, executions, ownership, tokens
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.executions import Status
from outrider.dispatcher.store.ownership import Member
from outrider.dispatcher.timers import Timers
from outrider.dispatcher.turn import Turn
from outrider.dispatcher.workflows.errors import WorkflowError
from outrider.messaging import topology
from outrider.messaging.messages import Verdict
from outrider.messaging.transport import Confirmation, Transport
from outrider.messaging.version import __version__

log = logging.getLogger(__name__)

S = TypeVar("S")

#: While so many attempts are open, what happened waits so long for company.
_MANY_OPEN, _COMPANY_SECONDS = 64, 0.01
#: So long may the broker's confirmation of a message wait in the inbox, for something else to be stored with.
_CONFIRMATION_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the engine needs of others."""

    database: Database
    transport: Transport
    planner: Planner
    files: Files
    redeem: control.Redeem | None = None
    #: None where there is no broker by which agents on hosts could be reached.
    host_agents: HostAgents | None = None
    #: Where operations find the manager; None where this dispatcher belongs to none.
    manager: ManagerAddress | None = None
    clock: Clock


class Engine:
    """Runs the executions that this dispatcher owns."""

    def __init__(self, services: Services, settings: EngineSettings, *, dispatcher_id: str | None = None) -> None:
        self.id = dispatcher_id or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self.settings = settings
        self.inbox = Inbox()
        self._database, self._transport, self._clock = services.database, services.transport, services.clock
        self._turns = services.database.repeated()
        self._planner, self._redeem = services.planner, services.redeem
        self._manager = (
            None if services.manager is None else ManagerAccess(services.manager, central_agent=settings.central_agent)
        )
        self._runs: dict[str, Run] = {}
        #: Executions that may have something to do, in the order in which they get their share of a turn.
        self._ready: dict[str, Run] = {}
        self._outbox = Outbox(settings, services.transport, self.inbox)
        self._timers: Timers[TimerKey] = Timers()
        self._leases = LeaseBook(settings)
        self._fleet = Fleet(settings)
        maker = AttemptMaker(settings, services.files, services.host_agents)
        self._stages = Stages(self._fleet, self._timers, graph_begins=Prewarming(maker, self.id).tell)
        self._progress = Progress(
            settings,
            maker=maker,
            fleet=self._fleet,
            leases=self._leases,
            timers=self._timers,
            stages=self._stages,
            ready_again=self._note_ready,
        )
        self._recorder = Recorder(self._progress, self._runs.get, self._wake_owner)
        self._hearing = Hearing(self.id, self._fleet, self._leases, self._recorder, self._progress)
        self._consumers = Consumers(services.transport, self.inbox, services.clock, self.id)
        self._functions = FunctionRequests(self._stages, self._progress, self._runs.get, self._note_ready)
        self._suspicion = Suspicion()
        #: So many signals are taken one by one: the one at which a turn failed is to fail alone.
        self._singly = 0
        self._turn: Turn | None = None
        #: Whether the last results had attempts as their consequence.
        self._released = False
        self._look_at, self._renew_at = 0.0, 0.0
        #: Whether the last look found as many executions as there was room for: there may be more.
        self._full = False
        self._last_turn: float | None = None
        self._started_at = 0.0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        #: Called with the ids of executions that ended, after the commit.
        self.on_end: Callable[[Iterable[str]], None] = lambda _ids: None

    # -- life ---------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Declare queues and begin to read them; raises `MessagingError`."""
        self._transport.declare(topology.shared_topology())
        self._transport.declare(topology.dispatcher_topology(self.id))
        self._consumers.start()

    def start(self) -> None:
        """Open, and run turns on a thread of its own until `stop`."""
        self.open()
        self._thread = threading.Thread(target=self._work, name=f"engine {self.id}", daemon=True)
        self._thread.start()

    def stop(self, *, timeout_seconds: float = 30.0) -> None:
        """Finish the turn, stop reading, give up all executions: another dispatcher may adopt them at once."""
        self._consumers.stop()
        self._stopping.set()
        self.inbox.put(Look())
        if self._thread is not None:
            self._thread.join(timeout_seconds)
            self._thread = None
        try:
            with self._database.begin() as connection:
                ownership.leave(connection, self.id)
        except StoreError as error:
            log.warning("the leases are left to run out: %s", error, extra={"action": "stop"})

    def _work(self) -> None:
        while not self._stopping.is_set():
            self.guarded_turn(wait_seconds=self.settings.poll_seconds)
        self._turns.close()

    def guarded_turn(self, *, wait_seconds: float = 0.0) -> None:
        """Make a turn that never raises: a defect of ours must not stop every other execution."""
        try:
            self.turn(wait_seconds=wait_seconds)
        except Exception as error:
            # What was in memory cannot be trusted any more.
            log.exception("a turn failed; all executions are taken up again from the store", extra={"action": "turn"})
            self._suspect(error)
            self._start_over()

    # -- one turn -----------------------------------------------------------------------------------------------------

    def turn(self, *, wait_seconds: float = 0.0) -> None:
        """Take what has happened, apply it, commit, publish, acknowledge."""
        limit = 1 if self._singly else self.settings.batch_size
        signals = self.inbox.take(
            limit=limit, timeout_seconds=self._patience(wait_seconds), company_seconds=self._company_seconds()
        )
        self._singly = max(self._singly - len(signals), 0)
        now = self._clock.monotonic()
        self._note_gaps(now, signals)
        if not (signals or self._has_work(now)):
            return
        try:
            with self._turns.begin() as connection:
                turn = self._turn = Turn(connection, self._database.now(connection), now)
                self._look_into_store(turn, signals)
                self._apply(turn, signals)
                self._apply_time(turn)
                self._advance(turn)
                self._functions.answer_held(turn)
                turn.flush()
        except Exception as error:
            self._give_back(signals)
            if not isinstance(error, StoreError):
                self._singly += len(signals)
                raise
            log.exception("the store cannot be used", extra={"action": "commit"})
            self._start_over()
            return
        if _only(signals, ResultArrived):
            self._released = bool(turn.outbox)
        self._forget_lost(turn)
        self._outbox.publish(turn)
        self._settle_deliveries(turn)
        self._forget_ended(turn)

    def _patience(self, wait_seconds: float) -> float:
        """Return how long to wait for a signal: not at all while there is work, not beyond the next alarm."""
        if self._ready:
            return 0.0
        alarms = [each for each in self._alarms() if each is not None]
        if self._outbox:
            wait_seconds = min(wait_seconds, _CONFIRMATION_SECONDS)
        return min([wait_seconds, *(max(each - self._clock.monotonic(), 0.0) for each in alarms)])

    def _company_seconds(self) -> float:
        """Return how long a signal waits for others: a turn costs little more with several.

        Only where it delays nobody: many attempts are open, and what the last results said released no other.
        """
        if self._released or self._singly or len(self._leases) < _MANY_OPEN or self._has_work(self._clock.monotonic()):
            return 0.0
        return _COMPANY_SECONDS

    def _has_work(self, now: float) -> bool:
        return bool(self._ready) or any(each is not None and each <= now for each in self._alarms())

    def _alarms(self) -> tuple[float | None, ...]:
        return self._timers.next(), self._leases.next(), self._functions.next(), self._look_at

    def _note_gaps(self, now: float, signals: Sequence[Signal]) -> None:
        """Leases count down only while we could have heard agents."""
        for each in signals:
            if isinstance(each, BrokerChanged):
                (self._leases.hearing if each.connected else self._leases.deaf)(now=now)
                if each.connected:
                    self._look_at = now
        if self._last_turn is not None and now - self._last_turn > max(self.settings.poll_seconds * 5, 10.0):
            self._leases.gap(now=now)
        self._last_turn = now

    def _apply(self, turn: Turn, signals: Sequence[Signal]) -> None:
        """What agents and the broker said: heartbeats first, because they say whose journal can be trusted."""
        self._hearing.heartbeats(turn, _only(signals, HeartbeatArrived), self._runs)
        results, updates = _only(signals, ResultArrived), _only(signals, UpdateArrived)
        self._recorder.results(turn, results, and_updates=updates)
        for each in results:
            self._note_ready_id(each.result.execution_id)
        self._recorder.updates(turn, updates)
        published = _only(signals, Published)
        if any(each.confirmation is Confirmation.UNKNOWN for each in published):
            self._look_at = min(self._look_at, turn.now + self.settings.resend_first_seconds)
        self._conclude(turn, self._outbox.confirmed(turn, published, self._runs))
        letters = _only(signals, DeadLetterArrived)
        self._conclude(turn, [finding for each in letters if (finding := dead_letters.read(each)) is not None])
        turn.to_ack += [each.delivery for each in letters]
        requests = _only(signals, RequestArrived)
        control.answer(turn, requests, self._redeem, self._functions.ask, manager=self._manager)
        self._conclude(turn, cancelling.confirmed(turn, _only(signals, ReplyArrived), self._runs.get))

    def _apply_time(self, turn: Turn) -> None:
        """What the clock says: leases that are over, retries that are due, patience that has ended."""
        words = f"nothing was heard of it for its lease (bound {self.settings.verdict_bound_seconds:g} s)"
        expired = self._leases.expired(now=turn.now)
        self._conclude(turn, [Finding(each, Verdict.MAY_HAVE_RUN, words) for each in expired])
        for alarm, execution_id, position in self._timers.due(turn.now):
            run = self._runs.get(execution_id)
            if run is None or run.ended or run.graph is None or not turn.own(run):
                continue
            self._note_ready(run)
            if alarm is Alarm.RETRY:
                self._progress.retry_now(turn, run, position)
            elif alarm is Alarm.REPEAT_CANCEL:
                cancelling.repeat(turn, run, self.id, self.settings, self._timers)
            else:
                self._conclude(turn, cancelling.give_up(turn, run, self.id))

    def _advance(self, turn: Turn) -> None:
        """Let every execution that may have something to do go on, within this turn's share of new attempts."""
        budget = self.settings.batch_size
        ready, self._ready = self._ready, {}
        for run in ready.values():
            if budget <= 0:
                self._note_ready(run)
                continue
            if run.ended or not turn.own(run):
                continue
            budget -= self._progress.advance(turn, run, budget=budget)
            last = run
        if budget <= 0:
            # It comes after those that got nothing.
            self._ready.pop(last.id, None)
            self._note_ready(last)

    def _conclude(self, turn: Turn, findings: Sequence[Finding]) -> None:
        self._recorder.findings(turn, findings)
        for each in findings:
            self._note_ready_id(each.attempt_id.rpartition("-")[0])

    # -- the store: leases, new executions, cancels, others' recordings -----------------------------------------------

    def _look_into_store(self, turn: Turn, signals: Sequence[Signal]) -> None:
        if turn.now >= self._renew_at:
            self._renew(turn)
        if turn.now < self._look_at and not any(isinstance(each, Look) for each in signals):
            return
        self._look_at = turn.now + self.settings.poll_seconds
        ownership.release_waiting(turn.connection, now=turn.stored_now)
        # Those that wait for others leave them their places: a deployment with many inside would wait without end.
        room = self.settings.max_executions - sum(not run.leads for run in self._runs.values())
        claimed = ownership.claim(turn.connection, self.id, now=turn.stored_now, limit=room) if room > 0 else []
        self._full = len(claimed) >= room
        for execution_id in claimed:
            self._adopt(turn, execution_id)
        for execution_id, kind in executions.cancel_requests(turn.connection, self.id).items():
            run = self._runs.get(execution_id)
            if run is not None and run.cancel is not kind and turn.own(run):
                self._conclude(turn, cancelling.begin(turn, run, kind, self.id, self.settings, self._timers))
                self._note_ready(run)
        self._hearing.poll(turn, self._runs.values())
        still_open = [attempt_id for run in self._runs.values() for attempt_id in run.open]
        for attempt in attempts.unapplied(turn.connection, still_open):
            run = self._runs[attempt.execution_id]
            if turn.own(run) and run.graph is not None:
                self._recorder.take_up(turn, run, [attempt])
                self._note_ready(run)
        self._progress.refuse_waiting(turn)
        self._outbox.publish_again(turn, self._runs)

    def _renew(self, turn: Turn) -> None:
        self._renew_at = turn.now + self.settings.owner_renewal_seconds
        ownership.renew(turn.connection, self.member(turn.stored_now))
        ownership.forget_dead(turn.connection, before=turn.stored_now - 3600.0)

    def member(self, stored_now: float) -> Member:
        """Return this dispatcher with a whole lease from now on, by the store's clock."""
        self._started_at = self._started_at or stored_now
        return Member(
            id=self.id,
            host=socket.gethostname(),
            version=__version__,
            started_at=self._started_at,
            lease_until=stored_now + self.settings.owner_lease_seconds,
        )

    def _adopt(self, turn: Turn, execution_id: str) -> None:
        """Take up an execution that was just claimed."""
        stale = self._runs.get(execution_id)
        if stale is not None:
            # It was ours, was lost while we slept, and came back to us: memory is older than the store.
            self._drop(stale)
        turn.subject = execution_id
        try:
            restored = restore(turn, execution_id, self._planner, self.settings)
        except (WorkflowError, DispatcherError) as error:
            log.warning("execution %s cannot run: %s", execution_id, error, extra={"action": "adopt"})
            failed = executions.get(turn.connection, execution_id)
            values = {"status": Status.FAILED.value, "error": str(error), "ended_at": turn.stored_now}
            executions.update_owned(turn.connection, failed, values)
            tokens.delete_of_executions(turn.connection, [execution_id])
            return
        run = restored.run
        self._runs[execution_id] = run
        turn.owned[execution_id] = run
        if run.execution.status is Status.PENDING:
            turn.save_execution(run, {"status": Status.STARTED.value, "started_at": turn.stored_now})
            text = f"Starting {run.execution.workflow!r} workflow execution"
            narrate.about_execution(turn, run, "workflow_started", text)
        self._take_up(turn, restored)

    def _take_up(self, turn: Turn, restored: Restored) -> None:
        run = restored.run
        for attempt in run.open.values():
            self._fleet.opened(attempt.agent_id)
            self._leases.open(attempt.id, now=turn.now)
        for position, delay in restored.retries.items():
            self._timers.set((Alarm.RETRY, run.id, position), turn.now + delay)
        if run.failed_at is not None:
            self._timers.set((Alarm.GIVE_UP, run.id, 0), turn.now + run.execution.wait_after_fail_seconds)
        self._outbox.take_up(run, restored.unsent)
        self._recorder.take_up(turn, run, restored.unapplied)
        self._note_ready(run)

    def _wake_owner(self, turn: Turn, execution_id: str) -> None:
        try:
            execution = executions.get(turn.connection, execution_id)
        except NotFound:
            # It was deleted under an agent that still tells of it.
            return
        if execution.owner is not None and execution.owner != self.id and not execution.ended:
            turn.notes.append(control.wake_up(execution.owner, self.id))

    # -- after the commit ---------------------------------------------------------------------------------------------

    def _settle_deliveries(self, turn: Turn) -> None:
        for delivery in turn.to_ack:
            delivery.ack()
        for delivery, reason in turn.to_reject:
            log.warning("a message is not believed: %s", reason, extra={"action": "reject"})
            delivery.reject(reason)

    def _give_back(self, signals: Sequence[Signal]) -> None:
        """Return what was received to the broker; nothing of it was stored."""
        for each in signals:
            delivery = getattr(each, "delivery", None)
            if delivery is not None:
                delivery.requeue()

    def _forget_lost(self, turn: Turn) -> None:
        for run in turn.lost:
            log.warning("execution %s was adopted by another dispatcher, or deleted", run.id, extra={"action": "lost"})
            self._drop(run)

    def _forget_ended(self, turn: Turn) -> None:
        ended = [run for run in turn.owned.values() if run.ended and self._runs.get(run.id) is run]
        for run in ended:
            self._drop(run)
        if not ended:
            return
        if self._full or any(run.model is not None for run in ended):
            # One that found no place here, or is queued behind one of the same deployment, need not wait for the time.
            self._look_at = turn.now
        self.on_end([run.id for run in ended])

    def _drop(self, run: Run) -> None:
        self._runs.pop(run.id, None)
        self._ready.pop(run.id, None)
        self._progress.room(self._fleet.forget(run))
        for attempt_id in run.open:
            self._leases.close(attempt_id)
            self._outbox.forget(attempt_id)
        if run.graph is not None:
            for position in range(len(run.graph.tasks)):
                self._timers.drop((Alarm.RETRY, run.id, position))
        for alarm in (Alarm.GIVE_UP, Alarm.REPEAT_CANCEL):
            self._timers.drop((alarm, run.id, 0))

    def _start_over(self) -> None:
        """Forget everything; ownership is given up, so that the next look claims it again with a fresh epoch."""
        for run in list(self._runs.values()):
            self._drop(run)
        self._look_at = self._clock.monotonic() + self.settings.poll_seconds
        try:
            with self._database.begin() as connection:
                ownership.leave(connection, self.id)
        except Exception as error:  # noqa: BLE001 - nobody would begin another turn if this ended the engine's thread
            log.warning("ownership could not be given up yet: %s", error, extra={"action": "start_over"})
        self._renew_at = 0.0
        self._stopping.wait(self.settings.poll_seconds)

    def _suspect(self, error: Exception) -> None:
        """A turn failed: give up the execution at which the last turns failed, too."""
        turn, self._turn = self._turn, None
        execution_id = None if turn is None else turn.subject
        if not self._suspicion.note(execution_id, now=self._clock.monotonic()) or execution_id is None:
            return
        try:
            with self._database.begin() as connection:
                now = self._database.now(connection)
                given_up = quarantine.give_up(connection, execution_id, owner=self.id, error=error, now=now)
        except Exception as failure:  # noqa: BLE001 - as in `_start_over`
            log.warning("an execution could not be given up yet: %s", failure, extra={"action": "quarantine"})
            return
        if given_up:
            log.error("execution %s was given up", execution_id, extra={"action": "quarantine"})
            self.on_end([execution_id])

    def _note_ready(self, run: Run) -> None:
        if not run.ended:
            self._ready[run.id] = run

    def _note_ready_id(self, execution_id: str) -> None:
        run = self._runs.get(execution_id)
        if run is not None:
            self._note_ready(run)


def _only(signals: Sequence[Signal], kind: type[S]) -> list[S]:
    return [each for each in signals if isinstance(each, kind)]
