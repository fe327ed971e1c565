"""Logs, events and property changes on their way to the dispatcher, while operations run and after.

The attempt's own file is the spool: a thread reads what was appended, sends it in numbered batches, one batch per
attempt under way at a time so that their order is kept, and goes on behind a batch only when the broker confirmed it.
Beyond the broker there is no order: several dispatchers take from one queue. So a batch with property changes repeats
those that went before it; whichever batch is merged first brings all that lies before its last change.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, Callable, Optional

from outrider.agent.folder import NOTHING_SHIPPED, AttemptFolder, Shipped, read_records
from outrider.agent.runner.processes import SHORTAGES
from outrider.messaging import topology
from outrider.messaging.codec import encode
from outrider.messaging.errors import MessagingError
from outrider.messaging.messages import EventRecord, LogRecord, OperationTask, OperationUpdate, PropertyChange
from outrider.messaging.transport import Confirmation, Outgoing, Transport, confirmation_of

logger = logging.getLogger(__name__)

_BATCH_BYTES = 512 * 1024
#: So much of the property changes that went before is repeated, the newest of them.
_REPEATED_BYTES = 256 * 1024
_RETRY_SECONDS = 1.0
#: How long the shipper looks for records by itself after the last attempt.
_WAKEFUL_SECONDS = 2.0


class _Spool:
    """One attempt's records, as far as they were read and confirmed."""

    def __init__(self, task: OperationTask, folder: AttemptFolder, confirmed: Shipped) -> None:
        self.task = task
        self.folder = folder
        self.confirmed = confirmed
        #: The newest property changes that the broker has; None = not known yet, after a restart.
        self.changes: Optional[tuple[PropertyChange, ...]] = None
        self.under_way = False
        self.not_before = 0.0
        #: How much of the file is read at once; less where the broker takes less.
        self.batch_bytes = _BATCH_BYTES
        #: The number of a record that is too large for the broker by itself.
        self.unsendable = 0
        #: Set when the operation has ended: the number that the last record has.
        self.last_sequence: Optional[int] = None

    @property
    def complete(self) -> bool:
        return self.last_sequence is not None and self.confirmed.sequence >= self.last_sequence

    def sent_changes(self) -> tuple[PropertyChange, ...]:
        """Return the newest property changes that the broker has."""
        if self.changes is None:
            before = self.confirmed.offset
            records = read_records(self.folder.updates, 0, limit_bytes=before)[0] if before else []
            self.changes = _newest(_changes_in(records))
        return self.changes


class UpdateShipper:
    """Ships the records of all attempts in hand."""

    def __init__(
        self, agent_id: str, transport: Transport, complete: Callable[[str], None], *, interval_seconds: float = 0.1
    ) -> None:
        self._agent_id = agent_id
        self._transport = transport
        self._complete = complete
        self._interval = interval_seconds
        self._condition = threading.Condition()
        self._spools: dict[str, _Spool] = {}
        self._urgent = False
        #: Whether the thread sleeps until it is woken; while there are attempts it looks by itself.
        self._asleep = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="updates", daemon=True)

    def start(self) -> None:
        """Begin to ship."""
        self._thread.start()

    def watch(self, task: OperationTask, folder: AttemptFolder, *, confirmed: Shipped = NOTHING_SHIPPED) -> None:
        """Ship the attempt's records from now on, as they are written, behind those that were confirmed before."""
        with self._condition:
            if task.attempt_id not in self._spools:
                self._spools[task.attempt_id] = _Spool(task, folder, confirmed)
                if self._asleep:
                    self._condition.notify()

    def finish(self, attempt_id: str, last_sequence: int) -> None:
        """The operation has ended with this record; `complete` is called once all are confirmed."""
        with self._condition:
            spool = self._spools.get(attempt_id)
            if spool is None:
                return
            spool.last_sequence = last_sequence
            if spool.complete:
                del self._spools[attempt_id]
            else:
                self._urgent = True
                self._condition.notify()
                return
        self._complete(attempt_id)

    def close(self, *, limit_seconds: float = 5.0) -> None:
        """Stop; what was not shipped lies in the attempts' folders."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        if self._thread.is_alive():
            self._thread.join(limit_seconds)

    @property
    def empty(self) -> bool:
        """Whether all records of ended operations are confirmed."""
        return not any(spool.last_sequence is not None for spool in list(self._spools.values()))

    def _run(self) -> None:
        idle_since = 0.0
        while True:
            with self._condition:
                if not self._urgent and not self._closed:
                    if self._spools:
                        idle_since = time.monotonic()
                    # To wake it for each operation would cost more than to look a few times in vain.
                    self._asleep = time.monotonic() - idle_since > _WAKEFUL_SECONDS
                    self._condition.wait(None if self._asleep else self._interval)
                self._urgent = False
                if self._closed:
                    return
                spools = [spool for spool in self._spools.values() if not spool.under_way]
            now = time.monotonic()
            for spool in spools:
                if now >= spool.not_before and self._transport.connected:
                    self._ship_safely(spool)

    def _ship_safely(self, spool: _Spool) -> None:
        try:
            self._ship(spool)
        except Exception as error:
            spool.under_way = False
            spool.not_before = time.monotonic() + _RETRY_SECONDS
            if isinstance(error, OSError) and error.errno in SHORTAGES:
                logger.warning("the update records of attempt %s wait: %s", spool.task.attempt_id, error)
                return
            # Operations write to that file, and no other attempt's records may wait for what is wrong with it.
            logger.exception("the update records of attempt %s cannot be sent", spool.task.attempt_id)
            if spool.last_sequence is not None:
                self._forget(spool)

    def _ship(self, spool: _Spool) -> None:
        # Asked before reading: what is written between the two is not missing.
        ended = spool.last_sequence is not None
        records, offset = read_records(spool.folder.updates, spool.confirmed.offset, limit_bytes=spool.batch_bytes)
        if not records:
            if ended and not spool.complete:
                # The file has less than the result says: a full disk, or a lost one. Nothing more will come.
                logger.warning("attempt %s: its update records are incomplete", spool.task.attempt_id)
                self._forget(spool)
            return
        spool.under_way = True
        reached = Shipped(offset, int(records[-1]["sequence"]))
        if spool.unsendable == reached.sequence:
            records = [_in_place_of(records[-1], offset - spool.confirmed.offset)]
        changes = _changes_in(records)
        if changes:
            changes = (*spool.sent_changes(), *changes)
        body = encode(_update(spool.task, self._agent_id, records, changes))
        try:
            future = self._transport.publish(
                Outgoing(topology.UPDATES, f"{self._agent_id}.update", body, mandatory=True)
            )
        except MessagingError:
            self._published(spool, reached, changes, Confirmation.UNKNOWN)
            return
        future.add_done_callback(lambda finished: self._published(spool, reached, changes, confirmation_of(finished)))

    def _published(
        self, spool: _Spool, reached: Shipped, changes: tuple[PropertyChange, ...], outcome: Confirmation
    ) -> None:
        confirmed = outcome is Confirmation.CONFIRMED
        if confirmed:
            spool.confirmed = reached
            if changes:
                spool.changes = _newest(changes)
            if not spool.complete:
                spool.folder.note_shipped(reached)
        elif outcome is Confirmation.TOO_LARGE:
            self._shorten(spool, reached)
        else:
            # Also a full queue on the broker (it refuses): the spool waits.
            spool.not_before = time.monotonic() + _RETRY_SECONDS
        spool.under_way = False
        if spool.complete:
            self._forget(spool)
        elif confirmed and spool.last_sequence is not None:
            with self._condition:
                self._urgent = True
                self._condition.notify()

    def _shorten(self, spool: _Spool, reached: Shipped) -> None:
        """Have the next try carry less, since as it is it would never arrive: no repetition, fewer records, a note."""
        if spool.changes:
            spool.changes = ()
        elif reached.sequence > spool.confirmed.sequence + 1:
            spool.batch_bytes = max(spool.batch_bytes // 2, 1)
        else:
            spool.unsendable = reached.sequence

    def _forget(self, spool: _Spool) -> None:
        with self._condition:
            known = self._spools.pop(spool.task.attempt_id, None)
        if known is not None:
            self._complete(spool.task.attempt_id)


def _in_place_of(record: dict[str, Any], size: int) -> dict[str, Any]:
    """Return what is sent instead of a record that the broker does not take.

    A change of properties comes with the result, which says for itself whether it is too large.
    """
    text = f"a record of {size} bytes ({record['kind']}) is larger than the broker's max_message_size, and was not sent"
    own = {"kind": "log", "time": time.time(), "level": "warning", "logger": "outrider", "message": text}
    return {"sequence": record["sequence"], **own}


def _changes_in(records: list[dict[str, Any]]) -> tuple[PropertyChange, ...]:
    return tuple(property_change(record) for record in records if record["kind"] not in ("log", "event"))


def _newest(changes: tuple[PropertyChange, ...]) -> tuple[PropertyChange, ...]:
    room, first = _REPEATED_BYTES, len(changes)
    while first and (room := room - len(str(changes[first - 1].set))) >= 0:
        first -= 1
    return changes[first:]


def _update(
    task: OperationTask, agent_id: str, records: list[dict[str, Any]], changes: tuple[PropertyChange, ...]
) -> OperationUpdate:
    logs, events = [], []
    for record in records:
        kind = record["kind"]
        if kind == "log":
            logs.append(
                LogRecord(record["sequence"], record["time"], record["level"], record["logger"], record["message"])
            )
        elif kind == "event":
            events.append(EventRecord(record["sequence"], record["time"], record["event_type"], record["message"]))
    return OperationUpdate(
        attempt_id=task.attempt_id,
        task_id=task.task_id,
        execution_id=task.execution_id,
        agent_id=agent_id,
        token=task.token,
        logs=tuple(logs),
        events=tuple(events),
        properties=changes,
    )


def property_change(record: dict[str, Any]) -> PropertyChange:
    """Return the message's form of a property change that an operation recorded."""
    return PropertyChange(
        instance=record["instance"],
        set=record["set"],
        delete=tuple(record["delete"]),
        base_version=record["base_version"],
        sequence=record["sequence"],
        replace=record["replace"],
    )
