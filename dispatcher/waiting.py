"""Waiting for executions: told by the engine here, found in the store if another dispatcher runs it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from outrider.dispatcher.errors import ExecutionCancelled, ExecutionFailed, WaitExpired
from outrider.dispatcher.store import executions
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.executions import Execution, Status

#: How often the store is asked about an execution that may be run elsewhere.
POLL_SECONDS = 1.0


class Waiters:
    """Those who wait for executions to end."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[str, list[Future[None]]] = {}
        self._lock = threading.Lock()

    def ended(self, execution_ids: Iterable[str]) -> None:
        """Tell those who wait; called by the engine."""
        with self._lock:
            told = [each for execution_id in execution_ids for each in self._waiting.pop(execution_id, ())]
        for future in told:
            if not future.done():
                future.set_result(None)

    def wait(self, execution_id: str, *, timeout_seconds: float | None) -> Execution:
        """Return the execution once it has ended. Raises `WaitExpired`, `NotFound`."""
        for patience in _slices(timeout_seconds, execution_id):
            future = self._register(execution_id)
            try:
                execution = self._read(execution_id)
                if execution.ended:
                    return execution
                with contextlib.suppress(FutureTimeout):
                    future.result(patience)
            finally:
                self._unregister(execution_id, future)
        raise AssertionError("the slices end by raising")

    async def wait_async(self, execution_id: str, *, timeout_seconds: float | None) -> Execution:
        """Do as `wait`, without blocking the event loop."""
        for patience in _slices(timeout_seconds, execution_id):
            future = self._register(execution_id)
            try:
                execution = await asyncio.to_thread(self._read, execution_id)
                if execution.ended:
                    return execution
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), patience)
            finally:
                self._unregister(execution_id, future)
        raise AssertionError("the slices end by raising")

    def _read(self, execution_id: str) -> Execution:
        with self._database.read() as connection:
            return executions.get(connection, execution_id)

    def _register(self, execution_id: str) -> Future[None]:
        future: Future[None] = Future()
        with self._lock:
            self._waiting.setdefault(execution_id, []).append(future)
        return future

    def _unregister(self, execution_id: str, future: Future[None]) -> None:
        with self._lock:
            waiting = self._waiting.get(execution_id, [])
            if future in waiting:
                waiting.remove(future)
            if not waiting:
                self._waiting.pop(execution_id, None)


def raise_for_status(execution: Execution) -> Execution:
    """Return an execution that succeeded; raises `ExecutionFailed`, `ExecutionCancelled` for others."""
    name = f"{execution.workflow} ({execution.id})"
    if execution.status is Status.FAILED:
        raise ExecutionFailed(f"{name} failed: {execution.error}")
    if execution.status is Status.CANCELLED:
        raise ExecutionCancelled(f"{name} was cancelled")
    return execution


def _slices(timeout_seconds: float | None, execution_id: str) -> Iterable[float]:
    """Yield how long to wait each time; raises `WaitExpired` in the end."""
    left = timeout_seconds
    while left is None or left > 0:
        patience = POLL_SECONDS if left is None else min(POLL_SECONDS, left)
        yield patience
        left = None if left is None else left - patience
    raise WaitExpired(f"execution {execution_id} has not ended within {timeout_seconds:g} s; it goes on")
