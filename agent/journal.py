"""The agent's durable record of attempts: what was accepted, what may have been started, which results are unsent.

At-most-once hangs on it: an attempt is started by one compare-and-set here, and a cancel by another, so exactly one of
them wins, whatever was redelivered or restarted meanwhile. One writer thread commits whatever piled up since the last
commit in one transaction with full sync, so that many attempts share the disk's latency.
"""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import sqlite3
import threading
import time
import uuid
from collections import deque
from collections.abc import Collection, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Callable, Optional, TypeVar

from outrider.agent.errors import JournalError

logger = logging.getLogger(__name__)

T = TypeVar("T")
_Job = tuple[Callable[[sqlite3.Connection], Any], Callable[[Any, Optional[Exception]], None]]
_LARGEST_GROUP = 256
_CALL_SECONDS = 60.0
#: How long a patient job waits for others to be committed with.
_COMPANY_SECONDS = 0.2

#: Does nothing: it ends the writer's sleep.
_WAKE: _Job = (lambda _connection: None, lambda _value, _error: None)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS attempts (
    attempt_id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    cancelled INTEGER NOT NULL DEFAULT 0,
    preparing INTEGER NOT NULL DEFAULT 0,
    deaths INTEGER NOT NULL DEFAULT 0,
    task BLOB,
    identity TEXT,
    verdict TEXT,
    result BLOB,
    changed REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS attempts_state ON attempts (state, changed);
"""
_COLUMNS = "attempt_id, state, cancelled, deaths, task, identity, verdict, result"


class State(str, Enum):
    """How far an attempt has come."""

    #: Not seen yet, but cancelled already.
    TOMBSTONE = "tombstone"
    ACCEPTED = "accepted"
    #: From here on it may have run.
    STARTING = "starting"
    #: Its result is known, and not confirmed by the broker yet.
    FINISHED = "finished"
    DONE = "done"


@dataclass(frozen=True)
class Entry:
    """One attempt in the journal."""

    attempt_id: str
    state: State
    cancelled: bool
    #: How often the agent died while it prepared this attempt.
    deaths: int
    #: The task's message as it came; None once the attempt is done.
    task: Optional[bytes]
    #: The process that runs it, as it introduced itself, with ``started_clock``.
    identity: Optional[dict[str, Any]]
    verdict: Optional[str]
    #: The result's message; None once it is confirmed.
    result: Optional[bytes]


class Journal:
    """The attempts of one agent; all methods may be called from any thread."""

    def __init__(self, path: Path, *, machine: str) -> None:
        self._path = path
        self._machine = machine
        self._jobs: queue.SimpleQueue[Optional[_Job]] = queue.SimpleQueue()
        #: What is committed with whatever comes next.
        self._patient: deque[_Job] = deque()
        #: Whether the writer sleeps until a job comes, and would not see a patient one.
        self._asleep = False
        self._thread = threading.Thread(target=self._write_until_closed, name="journal", daemon=True)
        self._closed = False
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._prepare()
        except sqlite3.Error as error:
            raise JournalError(f"the journal {path} cannot be opened: {error}") from error
        self._thread.start()

    @property
    def epoch(self) -> str:
        """The journal's random name: another one means that what was recorded before is lost."""
        return str(self._epoch)

    @property
    def sequence(self) -> int:
        """Rises with every commit: one that goes back shows a journal restored from an old copy."""
        return self._sequence

    @property
    def opened(self) -> int:
        """The sequence that was found in the file; what was written since must not hide that it is an old copy."""
        return self._opened

    def close(self) -> None:
        """Commit what is under way and close; idempotent."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        self._thread.join(_CALL_SECONDS)
        self._connection.close()

    # What happens to attempts. `submit` does not wait, `call` does.

    def submit(
        self, job: Callable[[sqlite3.Connection], T], done: Callable[[Optional[T], Optional[Exception]], None]
    ) -> None:
        """Run `job` in the next group; `done(value, error)` is called by the writer once it is durable."""
        if self._closed:
            done(None, JournalError(f"the journal {self._path} is closed"))
            return
        self._jobs.put((job, done))

    def submit_patiently(
        self, job: Callable[[sqlite3.Connection], T], done: Callable[[Optional[T], Optional[Exception]], None]
    ) -> None:
        """Run `job` with the next group, or soon: for what costs nobody anything if it is durable a little later."""
        if self._closed:
            self.submit(job, done)
            return
        # In this order: the writer goes to sleep first, and then looks whether there is one.
        self._patient.append((job, done))
        if self._asleep:
            self._jobs.put(_WAKE)

    def call(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job` in the next group and wait until it is durable. Raises `JournalError`."""
        future: Future[Any] = Future()

        def done(value: Any, error: Optional[Exception]) -> None:
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)

        self.submit(job, done)
        try:
            value: T = future.result(_CALL_SECONDS)
        except FutureTimeout:
            raise JournalError(f"the journal {self._path} was not written within {_CALL_SECONDS:g} s") from None
        return value

    def entry(self, attempt_id: str) -> Optional[Entry]:
        """Return what is known of an attempt."""
        return self.call(lambda connection: _entry(connection, attempt_id))

    def of_task(self, attempt_id: str) -> list[Entry]:
        """Return what is known of the attempts of one task, given any of them."""
        return self.call(lambda connection: _of_task(connection, attempt_id))

    def unfinished(self) -> list[Entry]:
        """Return all attempts that are accepted, may be running, or have an unsent result; oldest first."""
        query = f"SELECT {_COLUMNS} FROM attempts WHERE state IN ('accepted', 'starting', 'finished') ORDER BY changed"  # noqa: S608 - only constants
        return self.call(lambda connection: [_from_row(row) for row in connection.execute(query)])

    def count_deaths(self) -> None:
        """At the agent's start: whoever was being prepared when the last agent died is one death older."""
        self.call(
            lambda connection: (
                connection.execute("UPDATE attempts SET deaths = deaths + 1, preparing = 0 WHERE preparing = 1")
                and None
            )
        )

    def forgive(self) -> None:
        """At an orderly stop: what is being prepared did nothing wrong."""
        self.call(
            lambda connection: connection.execute("UPDATE attempts SET preparing = 0 WHERE preparing = 1") and None
        )

    def writable(self) -> bool:
        """Return whether it can be written now."""
        try:
            self.call(lambda _connection: None)
        except JournalError:
            return False
        return True

    def prune(self, *, older_than_seconds: float) -> None:
        """Forget attempts that were done long ago; the broker does not redeliver after such a time."""
        before = time.time() - older_than_seconds
        self.call(
            lambda connection: (
                connection.execute(
                    "DELETE FROM attempts WHERE state IN ('done', 'tombstone') AND changed < ?", (before,)
                )
                and None
            )
        )

    # The writer

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(_SCHEMA)
        meta = dict(self._connection.execute("SELECT name, value FROM meta"))
        if meta.get("machine") != self._machine:
            # New, or copied from another machine: the dispatcher must not take it for the journal that it knew.
            meta = {"epoch": uuid.uuid4().hex, "sequence": "0", "machine": self._machine}
            self._connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta.items())
        self._epoch = meta["epoch"]
        self._sequence = self._opened = int(meta["sequence"])

    def new_epoch(self) -> None:
        """Start a new epoch, as the dispatcher asks after it fenced this journal."""

        def renew(connection: sqlite3.Connection) -> str:
            epoch = uuid.uuid4().hex
            connection.execute("UPDATE meta SET value = ? WHERE name = 'epoch'", (epoch,))
            return epoch

        self._epoch = self.call(renew)

    def _write_until_closed(self) -> None:
        open_for_more = True
        while open_for_more:
            jobs = list(self._next_group())
            open_for_more = None not in jobs
            patient = [self._patient.popleft() for _ in range(len(self._patient))]
            group = patient + [job for job in jobs if job is not None]
            if group:
                self._commit(group)

    def _next_group(self) -> Iterator[Optional[_Job]]:
        """Wait for jobs; return those that are there. None at all: only patient ones are left."""
        try:
            yield self._jobs.get(timeout=_COMPANY_SECONDS)
        except queue.Empty:
            self._asleep = True
            if self._patient:
                self._asleep = False
                return
            yield self._jobs.get()
            self._asleep = False
        for _ in range(_LARGEST_GROUP):
            try:
                yield self._jobs.get_nowait()
            except queue.Empty:
                return

    def _commit(self, group: list[_Job]) -> None:
        outcomes: list[Any] = []
        failure: Optional[Exception] = None
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            outcomes = [job(self._connection) for job, _ in group]
            self._connection.execute("UPDATE meta SET value = ? WHERE name = 'sequence'", (str(self._sequence + 1),))
            self._connection.execute("COMMIT")
            self._sequence += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait hear it, and the writer goes on
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            failure = JournalError(f"the journal {self._path} cannot be written: {error}")
        for index, (_, done) in enumerate(group):
            try:
                done(outcomes[index] if failure is None else None, failure)
            except Exception:
                # No thread can be started, say. Without its writer the agent would do nothing any more, and not say so.
                logger.exception("what waited for the journal failed")


# Jobs for `submit` and `call`: what may happen to an attempt, each one transition.


def accept(attempt_id: str, task: bytes, *, preparing: bool = False) -> Callable[[sqlite3.Connection], Optional[Entry]]:
    """Record a new attempt; returns what was known of it before, unchanged, or None if it is new.

    `preparing`: the agent is about to do something for it that might end the agent.
    """

    def job(connection: sqlite3.Connection) -> Optional[Entry]:
        known = _entry(connection, attempt_id)
        if known is None:
            connection.execute(
                "INSERT INTO attempts (attempt_id, state, preparing, task, changed) VALUES (?, 'accepted', ?, ?, ?)",
                (attempt_id, int(preparing), task, time.time()),
            )
        elif preparing and known.state is State.ACCEPTED:
            connection.execute("UPDATE attempts SET preparing = 1 WHERE attempt_id = ?", (attempt_id,))
        return known

    return job


def start(
    attempt_id: str, task: bytes, identity: dict[str, Any], *, over: Collection[str] = ()
) -> Callable[[sqlite3.Connection], Optional[Entry]]:
    """Record that a process is about to run it: the compare-and-set. Returns None for *go*, else what forbids it.

    That is what is known of the attempt itself, or another of its task: a newer one, or one that may be running.
    `over`: earlier ones of which it is known that they are not.
    """

    def job(connection: sqlite3.Connection) -> Optional[Entry]:
        known = _entry(connection, attempt_id)
        if known is not None and (known.state is not State.ACCEPTED or known.cancelled):
            return known
        rival = next((each for each in _of_task(connection, attempt_id) if _forbids(each, attempt_id, over)), None)
        if rival is not None:
            return rival
        connection.execute(
            "INSERT INTO attempts (attempt_id, state, task, identity, changed) VALUES (?, 'starting', ?, ?, ?)"
            " ON CONFLICT (attempt_id) DO UPDATE SET state = 'starting', preparing = 0,"
            " identity = excluded.identity, changed = excluded.changed",
            (attempt_id, task, json.dumps(identity), time.time()),
        )
        return None

    return job


def not_started(attempt_id: str) -> Callable[[sqlite3.Connection], bool]:
    """Take `start` back, on evidence that nothing ran; returns whether it may be started again (not cancelled)."""

    def job(connection: sqlite3.Connection) -> bool:
        connection.execute(
            "UPDATE attempts SET state = 'accepted', identity = NULL WHERE attempt_id = ? AND state = 'starting'",
            (attempt_id,),
        )
        known = _entry(connection, attempt_id)
        return known is not None and known.state is State.ACCEPTED and not known.cancelled

    return job


def cancel(attempt_id: str) -> Callable[[sqlite3.Connection], Optional[Entry]]:
    """Leave a tombstone, also for an attempt that was never seen; returns what was known before."""

    def job(connection: sqlite3.Connection) -> Optional[Entry]:
        known = _entry(connection, attempt_id)
        connection.execute(
            "INSERT INTO attempts (attempt_id, state, cancelled, changed) VALUES (?, 'tombstone', 1, ?)"
            " ON CONFLICT (attempt_id) DO UPDATE SET cancelled = 1",
            (attempt_id, time.time()),
        )
        return known

    return job


def finish(attempt_id: str, verdict: str, result: bytes) -> Callable[[sqlite3.Connection], bool]:
    """Record the result, to be sent until it is confirmed; returns False if there is one already."""

    def job(connection: sqlite3.Connection) -> bool:
        changed = connection.execute(
            "INSERT INTO attempts (attempt_id, state, verdict, result, changed) VALUES (?, 'finished', ?, ?, ?)"
            " ON CONFLICT (attempt_id) DO UPDATE SET state = 'finished', preparing = 0, verdict = excluded.verdict,"
            " result = excluded.result, changed = excluded.changed WHERE state NOT IN ('finished', 'done')",
            (attempt_id, verdict, result, time.time()),
        )
        return changed.rowcount > 0

    return job


def done(attempt_id: str) -> Callable[[sqlite3.Connection], None]:
    """Record that the broker has the result. What is kept answers redeliveries."""

    def job(connection: sqlite3.Connection) -> None:
        connection.execute(
            "UPDATE attempts SET state = 'done', task = NULL, changed = ?,"
            " result = CASE WHEN length(result) > 65536 THEN NULL ELSE result END"
            " WHERE attempt_id = ? AND state = 'finished'",
            (time.time(), attempt_id),
        )

    return job


def _entry(connection: sqlite3.Connection, attempt_id: str) -> Optional[Entry]:
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM attempts WHERE attempt_id = ?",  # noqa: S608 - only constants
        (attempt_id,),
    ).fetchone()
    return _from_row(row) if row else None


def _of_task(connection: sqlite3.Connection, attempt_id: str) -> list[Entry]:
    """Return a task's attempts: their ids are ``<task>.<number>``, and lie side by side in the primary key."""
    task_id, _, number = attempt_id.rpartition(".")
    if not task_id or not number.isdigit():
        return []
    query = f"SELECT {_COLUMNS} FROM attempts WHERE attempt_id > ? AND attempt_id < ?"  # noqa: S608 - only constants
    # "/" is the character after ".".
    found = map(_from_row, connection.execute(query, (f"{task_id}.", f"{task_id}/")))
    return sorted((each for each in found if number_of(each.attempt_id) is not None), key=_number)


def _forbids(other: Entry, attempt_id: str, over: Collection[str]) -> bool:
    """Return whether an attempt must not start beside another of its task."""
    number, others = number_of(attempt_id), number_of(other.attempt_id)
    if number is None or others is None or number == others:
        return False
    if others > number:
        return other.state is not State.TOMBSTONE
    return other.state is State.STARTING and other.attempt_id not in over


def number_of(attempt_id: str) -> Optional[int]:
    """Return an attempt's number among those of its task; None if its id does not tell."""
    number = attempt_id.rpartition(".")[2]
    return int(number) if number.isdigit() else None


def _number(entry: Entry) -> int:
    return number_of(entry.attempt_id) or 0


def _from_row(row: tuple[Any, ...]) -> Entry:
    attempt_id, state, cancelled, deaths, task, identity, verdict, result = row
    return Entry(
        attempt_id,
        State(state),
        bool(cancelled),
        deaths,
        task,
        json.loads(identity) if identity else None,
        verdict,
        result,
    )
