"""Keeps page processes: starts them when many list calls are under way, gives them jobs, ends them when they idle.

A page is computing, and an interpreter computes in one thread at a time: in a process of their own, pages use the other
cores, and hold up neither requests nor the dispatcher. All state stays with the manager's own process, so that logins,
limits, tokens, live events and executions know of one process only.

All methods but `close` run in the event loop of the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pickle
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from outrider.manager_stub.reading.frames import Frames, framed
from outrider.manager_stub.reading.jobs import PageJob

log = logging.getLogger(__name__)

#: List calls under way at once from which on processes are worth their start.
BUSY = 4
#: Between two starts, so that a process that cannot start costs little.
START_GAP_SECONDS = 2.0
#: A process without work for this long is ended.
IDLE_SECONDS = 60.0
END_SECONDS = 5.0
#: A page takes milliseconds; a process that takes this long for one is stuck, and is ended.
ANSWER_SECONDS = 20.0
#: Jobs that a process has at once: the next one is there when it is done with one.
_AT_ONCE = 2
_READY, _NOT_MADE = b"ready", b""


@dataclass(frozen=True, eq=False)
class _Asked:
    content: bytes
    answer: asyncio.Future[bytes | None]


class PageProcesses:
    """Up to `most` processes that make pages from the database at `url`."""

    def __init__(
        self,
        url: str,
        *,
        most: int,
        busy: int = BUSY,
        gap: float = START_GAP_SECONDS,
        idle: float = IDLE_SECONDS,
        patience: float = ANSWER_SECONDS,
    ) -> None:
        self._url = url
        self._most = most
        self._busy, self._gap, self._idle, self._patience = busy, gap, idle, patience
        self._members: list[_Member] = []
        self._waiting: deque[_Asked] = deque()
        self._under_way = 0
        self._started_at = self._worked_at = float("-inf")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    @property
    def pids(self) -> list[int]:
        """The processes that take jobs."""
        return [each.process.pid for each in self._members if each.ready]

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Count a list call for the time of the block, whoever makes its page."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def make(self, job: PageJob) -> bytes | None:
        """Return a page's JSON text; None if there is no process, or it could not make the page."""
        if self._under_way >= self._busy:
            self._grow()
        if not self.pids:
            return None
        self._worked_at = time.monotonic()
        asked = _Asked(pickle.dumps(job), asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        self._hand_out()
        try:
            async with asyncio.timeout(self._patience):
                return await asked.answer
        except TimeoutError:
            self._give_up(asked)
            return None

    def close(self) -> None:
        """End all processes, from another thread; pages that they have under way are made by the manager."""
        self._closed = True
        members = list(self._members)
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and closed what it had open
                self._loop.call_soon_threadsafe(self._end_all)
        for member in members:
            _end(member.process)

    def _grow(self) -> None:
        """Start one more process, if it is time."""
        starting = len(self.pids) < len(self._members)
        early = time.monotonic() < self._started_at + self._gap
        if self._closed or starting or early or len(self._members) >= self._most:
            return
        self._started_at = self._worked_at = time.monotonic()
        self._loop = asyncio.get_running_loop()
        try:
            process, ours = _start()
        except OSError as error:  # no memory, no descriptors, too many processes: the manager makes the page
            log.warning("no process for pages: %s", error, extra={"action": "page_process_refused"})
            return
        member = _Member(self, process)
        self._members.append(member)
        member.opening = self._loop.create_task(self._connect(member, ours))

    async def _connect(self, member: _Member, ours: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            transport, _protocol = await loop.create_unix_connection(member.itself, sock=ours)
        except OSError:
            ours.close()
            self.lost(member)
            return
        transport.write(framed(self._url.encode()))
        loop.call_later(self._idle, self._end_idle)

    def _hand_out(self) -> None:
        """Give jobs that wait to the processes with the fewest, in the order in which they came."""
        while self._waiting:
            free = [each for each in self._members if each.ready and len(each.under_way) < _AT_ONCE]
            if not free:
                return
            asked = self._waiting.popleft()
            if not asked.answer.done():  # a client that went away waits for nothing
                min(free, key=lambda each: len(each.under_way)).give(asked)

    def heard(self, member: _Member, content: bytes) -> None:
        """Take what a process sent."""
        if not member.ready:
            member.ready = content == _READY
            log.info("a process makes pages", extra={"action": "page_process_ready", "pid": member.process.pid})
        else:
            _settle(member.under_way.popleft(), None if content == _NOT_MADE else content)
        self._hand_out()

    def _give_up(self, asked: _Asked) -> None:
        """End the process that has a job for too long; its other jobs go back to the manager."""
        for member in self._members:
            if asked in member.under_way:
                pid = member.process.pid
                log.warning("a page process does not answer", extra={"action": "page_process_stuck", "pid": pid})
                member.process.kill()

    def lost(self, member: _Member) -> None:
        """Forget a process that is gone; what it had, the manager makes."""
        if member not in self._members:
            return
        self._members.remove(member)
        left = list(member.under_way)
        if not self.pids:
            left += self._waiting
            self._waiting.clear()
        for asked in left:
            _settle(asked, None)
        if not member.ending:
            log.warning("a page process ended", extra={"action": "page_process_lost", "pid": member.process.pid})
        asyncio.get_running_loop().run_in_executor(None, _end, member.process)

    def _end_idle(self) -> None:
        if self._members and not self._closed:
            left = self._worked_at + self._idle - time.monotonic()
            if left > 0 or self._under_way:
                asyncio.get_running_loop().call_later(max(left, 1.0), self._end_idle)
            else:
                self._end_all()

    def _end_all(self) -> None:
        for member in list(self._members):
            member.end()


@dataclass(eq=False)
class _Member(asyncio.Protocol):
    """One process, and the connection to it."""

    pool: PageProcesses
    process: subprocess.Popen[bytes]
    ready: bool = False
    ending: bool = False
    under_way: deque[_Asked] = field(default_factory=deque)
    #: Kept, because the loop does not keep its tasks.
    opening: asyncio.Task[None] | None = None
    _transport: asyncio.Transport | None = None
    _frames: Frames = field(default_factory=Frames)

    def itself(self) -> _Member:
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self.ending:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        for content in self._frames.feed(data):
            self.pool.heard(self, content)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's signature
        self.pool.lost(self)

    def give(self, asked: _Asked) -> None:
        assert self._transport is not None  # noqa: S101 - it is ready
        self.under_way.append(asked)
        self._transport.write(framed(asked.content))

    def end(self) -> None:
        self.ending, self.ready = True, False
        if self._transport is not None:
            self._transport.close()


def _start() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a process; returns it with the manager's end of the connection. Raises OSError."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = subprocess.Popen(
                # -P: the folder that the manager was started in may hold a queue.py, and is no place for modules.
                [sys.executable, "-P", "-m", f"{__package__}.process"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            ours.close()
            raise
    return process, ours


def _settle(asked: _Asked, content: bytes | None) -> None:
    if not asked.answer.done():
        asked.answer.set_result(content)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, which has nothing to lose, and wait for that."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
